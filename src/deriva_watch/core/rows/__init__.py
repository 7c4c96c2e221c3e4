"""Rows of tables: read from files, planned, ordered, adopted or updated.

Sending them belongs in `engine/rows`.
"""
