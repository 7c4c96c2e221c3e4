"""Requests from people as values: orders, and the holds they put on work."""
