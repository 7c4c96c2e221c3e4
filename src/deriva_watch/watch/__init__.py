"""Watched roots: what to look at, one look at one unit, batches of drop folders, hashing ahead.

File system events belong in `edges/watching`; the verdict in `core/completeness`.
"""
