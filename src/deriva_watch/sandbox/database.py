"""A SQLite file with one writer at a time and any number of readers."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Database:
    """One SQLite file in WAL mode.

    A committed transaction survives the death of the process: WAL needs no
    fsync for that, only for the death of the machine.

    Args:
        file: The database; created if it is not there.

        prepare: Called with every new connection, for example to register functions.
    """

    def __init__(
        self, file: Path, prepare: Callable[[sqlite3.Connection], None] = lambda _: None
    ) -> None:
        self._file = file
        self._prepare = prepare
        self._lock = threading.Lock()
        self._local = threading.local()
        self._writer = self._connect()
        self.committed_ns = 0  # when a transaction was last committed, by the monotonic clock

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        self._prepare(connection)
        return connection

    @contextmanager
    def writing(self, *, rebuild: bool = False) -> Iterator[sqlite3.Connection]:
        """Hold the only write transaction: committed at the end, rolled back by an exception.

        With *rebuild*, tables may be dropped and made again: no reference acts on its own.
        """
        with self._lock:
            if rebuild:
                self._writer.execute("PRAGMA foreign_keys = OFF")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
                self.committed_ns = time.monotonic_ns()
            except BaseException:
                self._writer.rollback()
                raise
            finally:
                if rebuild:
                    self._writer.execute("PRAGMA foreign_keys = ON")

    def reader(self) -> sqlite3.Connection:
        """Return this thread's connection for reading; it never waits for the writer."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection
