"""Metadata of files: its sources, whether they agree, and the order of path segments."""
