"""What programs import from `deriva_watch`: uploads, path builders, the catalog model, progress.

It imports nothing itself, so that a path builder loads neither deriva nor SQLAlchemy.
"""
