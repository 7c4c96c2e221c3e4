"""Sends files: hash, store, upload jobs."""
