"""Watches the roots, looks at their units, forms batches, and hashes files before the upload.

File system events belong in `edges/watching`; the verdict in `core/completeness`.
"""
