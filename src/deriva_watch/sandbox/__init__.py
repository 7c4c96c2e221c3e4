"""An embedded Deriva server for tests, demos and dry runs.

The part of ERMrest, Hatrac and ``/authn/session`` that upload clients use, on SQLite and
a folder, on the loopback interface. It reproduces the odd behaviour that was measured on the
real servers.
"""

from deriva_watch.sandbox.server import serve

__all__ = ["serve"]
