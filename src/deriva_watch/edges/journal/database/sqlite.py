"""How connections to SQLite are opened. The other modules are plain SQLAlchemy.

The writer's transactions start with BEGIN IMMEDIATE: otherwise one that first reads and then
writes fails at once, despite the busy timeout, if another program wrote in between.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from deriva_watch.core.errors import SettingsError
from deriva_watch.edges.journal import problems
from deriva_watch.edges.journal.database import lock

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
            "cannot use [journal] url",  # the url is not shown: it may contain a password
            "it does not name an SQLite file",
            'Write url = "sqlite:////absolute/path/journal.db".',
        )
    return Path(database).absolute()


def create_file(journal: Path) -> None:
    """Create the file and its folder, for this user only, unless they exist."""
    journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def writer_engine(journal: Path) -> Engine:
    """Return an engine for durable writes."""
    engine = _engine(partial(_connect, journal, "mode=rw", *_WRITER))

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reader_engine(journal: Path) -> Engine:
    """Return an engine for the threads of the process that also writes."""
    return _engine(partial(_connect, journal, "mode=rw", "query_only=ON"), max_overflow=-1)


def outside_engine(journal: Path) -> Engine:
    """Return an engine for other processes, which must not write; a daemon may be running."""
    return _engine(partial(_connect_outside, journal), NullPool)


def check(connection: Connection, journal: Path) -> None:
    """Raise TroubleError if the database is damaged."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise problems.damaged(journal, str(found))


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
    """A connection that can hold a shared lock as long as it is open."""

    lock: int | None = None

    def close(self) -> None:
        """Close it and release the lock."""
        super().close()
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def _connect(journal: Path, query: str, *pragmas: str) -> _Connection:
    connection = sqlite3.connect(
        f"{journal.as_uri()}?{query}",
        uri=True,
        isolation_level=None,  # we start transactions, not the driver
        timeout=_BUSY_S,
        check_same_thread=False,  # the pool gives it to any thread
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

    While those exist, a read-only connection sees what the writer commits. After a clean stop they
    are gone, and such a connection would create them; but then the database is complete in one
    file, which can be read as immutable as long as no daemon can start.
    """
    held = None
    with suppress(FileNotFoundError):  # no lock file: this is a copy
        held = lock.share(journal)
        if held is None:
            return _connect(journal, "mode=ro")
    if journal.with_name(f"{journal.name}-wal").exists():
        if held is not None:
            os.close(held)
        return _connect(journal, "mode=ro")
    connection = _connect(journal, "mode=ro&immutable=1")
    connection.lock = held
    return connection
