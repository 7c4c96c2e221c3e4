"""TOUCHES. One file for one outside thing; the edges do not know each other."""
