"""The Deriva server: connection, credentials, catalog, object store, bulk specs.

Retrying belongs in `engine/call_retry`.
"""
