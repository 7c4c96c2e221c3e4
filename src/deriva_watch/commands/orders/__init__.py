"""Requests from people to the daemon: `retry`, `cancel`, `pause`, `resume`; submitted and applied.

The order values are in `core/orders`, the folder they are passed through in `edges/host/spool`.
"""
