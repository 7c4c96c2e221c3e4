"""The one routine that removes local files: when it runs, what may go, and the proofs it asks for.

What the disk does on a removal stays in `edges/disk`; the rules alone stay in `core/removal`.
"""
