"""The journal's SQLite file: open, lock, migrate, and replace it when it is damaged."""
