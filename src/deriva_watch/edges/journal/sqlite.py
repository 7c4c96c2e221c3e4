"""What only SQLite needs. Everything else in this package is plain SQLAlchemy.

The writer's connection begins with BEGIN IMMEDIATE: a transaction that first reads and then
writes would otherwise fail at once, whatever the busy timeout, when another one wrote between.
"""

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from deriva_watch.core.errors import JournalHeldError, SettingsError
from deriva_watch.edges.journal import trouble

_PATIENCE_S = 0.5  # readers hold it shared for some milliseconds
_PAUSE_S = 0.02


def lock_of(journal: Path) -> Path:
    """Return the file that is locked for *journal*."""
    return journal.with_name(f"{journal.name}.lock")


def hold(journal: Path) -> int:
    """Lock *journal* for this process alone and return the descriptor that holds it."""
    descriptor = os.open(lock_of(journal), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    patient_until = time.monotonic() + _PATIENCE_S
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > patient_until:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise JournalHeldError(
                f"cannot take the journal {journal}",
                f"process {pid or '(unknown)'} holds it",
                "Stop that deriva-watch first, or name another file in [journal] url.",
            )
        time.sleep(_PAUSE_S)
    os.ftruncate(descriptor, os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0))
    return descriptor


def share(journal: Path) -> int | None:
    """Keep daemons out until the descriptor is closed; None: one holds the journal."""
    descriptor = os.open(lock_of(journal), os.O_RDONLY | os.O_CLOEXEC)
    if _try_lock(descriptor, fcntl.LOCK_SH):
        return descriptor
    os.close(descriptor)
    return None


def holder(journal: Path) -> int | None:
    """Return the pid of the daemon that holds *journal*, or None."""
    with suppress(FileNotFoundError):
        descriptor = share(journal)
        if descriptor is None:
            return int(lock_of(journal).read_text() or 0)  # 0: it is just about to write it
        os.close(descriptor)
    return None


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_BUSY_S: Final = 10.0  # a backup may hold the database for a moment
_WRITER: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


def path_of(url: str) -> Path:
    """Return the file that *url* names."""
    try:
        parts = make_url(url)
    except ArgumentError:
        parts = None
    database = parts.database if parts and parts.get_backend_name() == "sqlite" else None
    if database in {None, "", ":memory:"}:
        raise SettingsError(
            "cannot use [journal] url",  # it is not shown: it may carry a password
            "it does not name an SQLite file",
            'Write url = "sqlite:////absolute/path/journal.db".',
        )
    return Path(database).absolute()


def create_file(journal: Path) -> None:
    """Make the file and its folder, for this user only, unless they are there."""
    journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def writer_engine(journal: Path) -> Engine:
    """Return an engine whose transactions write, durably."""
    engine = _engine(partial(_connect, journal, "mode=rw", *_WRITER))

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reader_engine(journal: Path) -> Engine:
    """Return an engine for the threads of the process that also writes."""
    return _engine(partial(_connect, journal, "mode=rw", "query_only=ON"), max_overflow=-1)


def outside_engine(journal: Path) -> Engine:
    """Return an engine for a process that must not write, whether or not a daemon does."""
    return _engine(partial(_connect_outside, journal), NullPool)


def check(connection: Connection, journal: Path) -> None:
    """Raise TroubleError if the database is damaged."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise trouble.damaged(journal, str(found))


def _engine(
    connect: Callable[[], sqlite3.Connection], pool: type[Pool] = QueuePool, **options: Any
) -> Engine:
    return create_engine(
        "sqlite://", creator=connect, poolclass=pool, json_serializer=_dump, **options
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"the journal cannot store {value!r} as JSON")


_dump: Final = json.JSONEncoder(default=_plain, separators=(",", ":")).encode


class _Connection(sqlite3.Connection):
    """A connection that may hold a lock as long as it is open."""

    lock: int | None = None

    def close(self) -> None:
        """Let the lock go too."""
        super().close()
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def _connect(journal: Path, query: str, *pragmas: str) -> _Connection:
    connection = sqlite3.connect(
        f"{journal.as_uri()}?{query}",
        uri=True,
        isolation_level=None,  # transactions are ours, not the driver's
        timeout=_BUSY_S,
        check_same_thread=False,  # the pool hands it from thread to thread
        factory=_Connection,
    )
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_outside(journal: Path) -> _Connection:
    """Open without writing anything, not even the two files beside a WAL database.

    While these are there, a read-only connection follows the writer. After a clean stop they are
    not, and such a connection would make them; but then the database is complete in one file and
    may be read as immutable, as long as no daemon can start.
    """
    held = None
    with suppress(FileNotFoundError):  # no lock file: nobody ever wrote here, it is a copy
        held = share(journal)
        if held is None:
            return _connect(journal, "mode=ro")
    if journal.with_name(f"{journal.name}-wal").exists():
        if held is not None:
            os.close(held)
        return _connect(journal, "mode=ro")
    connection = _connect(journal, "mode=ro&immutable=1")
    connection.lock = held
    return connection
