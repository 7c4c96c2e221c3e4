"""Decides which local files may be removed, and how a verification compares them."""
