"""Writes rows: assets, links, tables, features, executions."""
