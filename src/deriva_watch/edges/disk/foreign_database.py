"""Open SQLite databases that others made: what they contain can neither run nor use up anything.

A database is also code: views, triggers, generated columns and virtual tables run while it is
read. Here only plain tables can be read. Steps, time, rows and sizes are limited.
"""

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.os_errors import passing, reason

LARGEST_COPY_BYTES: Final = 256 * 1024 * 1024
LONGEST_S: Final = 10.0  # of computing time, for all queries of one connection
_MOST_STEPS: Final = 200_000_000  # of SQLite's virtual machine
_STEPS_AT_ONCE: Final = 100_000
_MOST_ROWS: Final = 500_000
_ROWS_BYTES: Final = 64 * 1024 * 1024
_BUSY_S: Final = 1.0  # its own program has priority
_COPY_TRIES: Final = 5
_COPY_AT_ONCE_BYTES: Final = 1024 * 1024
_TICK_S: Final = 0.02  # longer than the resolution of file times
PARTS: Final = ("", "-wal", "-journal")  # the files of a database
_GENERATED: Final = {2, 3}  # `hidden` of PRAGMA table_xinfo
_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: 16 * 1024 * 1024,  # of one value
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1024 * 1024,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 10,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}
# Errors that may pass, or be repaired by whoever writes to it. All others are of its content.
_PASSING: Final = {
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM),
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL),
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY),
}
_READ: Final = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
_WRITE: Final = _READ | {sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_TRANSACTION}
_OF_A_TABLE: Final = {sqlite3.SQLITE_READ, sqlite3.SQLITE_UPDATE}


class _NotKnownError(Exception):
    """It is not the database that is expected; the text says why."""


@dataclass(slots=True)
class Database:
    """An open database of others."""

    _connection: sqlite3.Connection
    _rows: int = 0
    _bytes: int = 0

    def rows(self, query: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        found = []
        for row in self._connection.execute(query, tuple(parameters)):
            self._rows += 1
            self._bytes += sum(len(cell) for cell in row if isinstance(cell, str | bytes))
            if self._rows > _MOST_ROWS:
                raise _NotKnownError(f"it has more than {_MOST_ROWS:,} rows")
            if self._bytes > _ROWS_BYTES:
                raise _NotKnownError(f"its rows have more than {_ROWS_BYTES >> 20} MiB")
            found.append(row)
        return found

    def has(self, table: str) -> bool:
        """Return whether it has this table."""
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return bool(self.rows(query, (table,)))

    def change(self, statement: str, values: Iterable[Mapping[str, Any]]) -> int:
        """Execute a statement for each of *values*; return how many rows were changed."""
        return self._connection.executemany(statement, list(values)).rowcount


@dataclass(frozen=True, slots=True)
class Copy:
    """How to copy the database of another user.

    Attributes:
        source: The open folder that it is in.
        owners: The users who own its files; nobody else may have put one there meanwhile.
        target: A private folder.
    """

    source: int
    owners: Collection[int]
    target: Path


@contextmanager
def reading(path: Path, tables: Collection[str], copy: Copy | None) -> Iterator[Database]:
    """Open a database to read *tables*, the only ones that can be read.

    Opening makes files beside it, so that one that is not ours is copied first: *copy*.

    Raises:
        TransientError: It is unreadable, locked or damaged.
        RefusedError: It is not a database of the kind that is expected, or exceeds a limit.
    """
    with _explained(path):
        opened, mode = (_copied(path, copy), "rw") if copy else (path, "ro")
        with closing(_connect(opened, mode)) as connection:
            connection.execute("PRAGMA query_only = ON")
            _check(connection, tables)
            connection.set_authorizer(_Guard(_READ, frozenset(tables)))
            yield Database(connection)


@contextmanager
def writing(path: Path, tables: Collection[str]) -> Iterator[Database]:
    """Open a database of our own user to update *tables* at once; raises as `reading`."""
    with _explained(path), closing(_connect(path, "rw")) as connection:
        _check(connection, tables)
        connection.set_authorizer(_Guard(_WRITE, frozenset(tables)))
        connection.execute("BEGIN IMMEDIATE")
        with connection:  # commits or rolls back
            yield Database(connection)


@dataclass(frozen=True, slots=True)
class _Guard:
    """Says what a statement may do; everything that is not named is denied."""

    actions: Collection[int]
    tables: frozenset[str]

    def __call__(
        self, action: int, one: str | None, two: str | None, _schema: str | None, by: str | None
    ) -> int:
        known = action not in _OF_A_TABLE or one in self.tables | {"sqlite_master"}
        counts = (action, two) == (sqlite3.SQLITE_FUNCTION, "count")
        # `by` is the view or trigger that asks.
        allowed = by is None and ((action in self.actions and known) or counts)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


@dataclass(slots=True)
class _Clock:
    """Stops a connection after so many steps, or so much work of this thread."""

    ends_s: float = field(default_factory=lambda: time.thread_time() + LONGEST_S)
    steps: int = 0

    def __call__(self) -> bool:
        self.steps += _STEPS_AT_ONCE
        return self.steps > _MOST_STEPS or time.thread_time() > self.ends_s


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    for limit, most in _LIMITS.items():
        connection.setlimit(limit, most)
    connection.set_progress_handler(_Clock(), _STEPS_AT_ONCE)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _check(connection: sqlite3.Connection, tables: Iterable[str]) -> None:
    """Refuse what would run code in place of a table."""
    for table in tables:
        query = "SELECT type, rootpage FROM sqlite_master WHERE name = ?"
        for kind, page in connection.execute(query, (table,)):
            if kind != "table" or not page:
                raise _NotKnownError(f"{table} is not a plain table")
        for column in connection.execute(f"PRAGMA table_xinfo({table})"):
            if column["hidden"] in _GENERATED:
                raise _NotKnownError(f"column {column['name']} of {table} is computed")


def _copied(path: Path, how: Copy) -> Path:
    """Copy a database that another program may be writing to, and return the copy.

    The copy is consistent if no file changed from one clock tick before the copy until after it.
    """
    for _ in range(_COPY_TRIES):
        before = _stamps(path.name, how.source)
        if sum(stamp[0] for stamp in before if stamp) > LARGEST_COPY_BYTES:
            raise _NotKnownError(f"it is larger than {LARGEST_COPY_BYTES >> 20} MiB")
        time.sleep(_TICK_S)
        for part, stamp in zip(PARTS, before, strict=True):
            _copy_file(f"{path.name}{part}", how, stamp[0] if stamp else 0)
        if _stamps(path.name, how.source) == before:
            return how.target / path.name
    raise _unreadable(path, "another program keeps writing to it")


def _copy_file(name: str, how: Copy, size_bytes: int) -> None:
    """Copy at most *size_bytes*: the file may grow meanwhile."""
    target = how.target / name
    target.unlink(missing_ok=True)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=how.source)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as content, target.open("xb") as copy:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{name} is not a regular file")
        check_owner(descriptor, how.owners)
        while size_bytes > 0 and (part := content.read(min(size_bytes, _COPY_AT_ONCE_BYTES))):
            copy.write(part)
            size_bytes -= len(part)


def check_owner(descriptor: int, owners: Collection[int]) -> None:
    """Raise OSError if an open file or folder has another owner than was found before."""
    if os.fstat(descriptor).st_uid not in owners:
        raise OSError(errno.ESTALE, "it was replaced meanwhile")


def _stamps(name: str, folder: int) -> list[tuple[int, int, int] | None]:
    stamps: list[tuple[int, int, int] | None] = []
    for part in PARTS:
        try:
            found = os.lstat(f"{name}{part}", dir_fd=folder)
            stamps.append((found.st_size, found.st_mtime_ns, found.st_ctime_ns))
        except FileNotFoundError:
            stamps.append(None)
    return stamps


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into ours."""
    try:
        yield
    except _NotKnownError as error:
        raise unknown(path, str(error)) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            why = f"reading it takes more than {LONGEST_S:g} s of work, or {_MOST_STEPS:,} steps"
            raise unknown(path, why) from error
        if code in _PASSING:
            raise _unreadable(path, str(error)) from error
        raise unknown(path, str(error)) from error
    except UnicodeDecodeError as error:  # from Python's sqlite3, about names in the database
        raise unknown(path, "it has a name that is not UTF-8") from error
    except OSError as error:
        raise not_read(path, error) from error


def not_read(path: Path, error: OSError) -> TransientError:
    """Return the error for a database, or its folder, that cannot be read."""
    what = f"cannot use deriva-ml's workspace {path}"
    return passing(what, error) or TransientError(what, reason(error))


def _unreadable(path: Path, why: str) -> TransientError:
    return TransientError(f"cannot use deriva-ml's workspace {path}", why)


def unknown(path: Path, why: str) -> RefusedError:
    """Return the error for a database that is not of the kind that is expected."""
    return RefusedError(
        f"cannot use deriva-ml's workspace {path}",
        f"it is not the database of a known version of deriva-ml ({why})",
        "Update deriva-watch, or tell its authors which version of deriva-ml you have.",
    )
