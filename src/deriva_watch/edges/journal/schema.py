"""The tables. A change here is a new file in `migrations/versions` and a new REVISION."""

import os
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

from deriva_watch.core.states import ExecutionState, FileState

REVISION: Final = "0010"


class PathBytes(TypeDecorator[str]):
    """A path as the bytes that the file system has; `str` with surrogates in Python."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Return the bytes."""
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text."""
        return None if value is None else os.fsdecode(value)


class Prose(TypeDecorator[str]):
    """A sentence; a name in it that is not UTF-8 is escaped, for no database stores surrogates."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return what can be stored."""
        return None if value is None else value.encode(errors="backslashreplace").decode()


class Instant(TypeDecorator[datetime]):
    """A time in UTC, to the microsecond, also where the database knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Unsigned64(TypeDecorator[int]):
    """A device or inode number: network file systems use all 64 bits, databases keep a sign."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return the number with the same bits that has a sign."""
        return value - 2**64 if value is not None and value >= 2**63 else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return the number without a sign."""
        return value + 2**64 if value is not None and value < 0 else value


def _id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _state(states: type[ExecutionState | FileState], *, primary_key: bool = False) -> Column[Any]:
    values = [state.value for state in states]
    kind = Enum(states, values_callable=lambda _: values, native_enum=False, length=16)
    return Column("state", kind, nullable=False, primary_key=primary_key)


def _execution_id() -> Column[int]:
    return Column("execution_id", BigInteger, ForeignKey("execution.id"), nullable=False)


metadata = MetaData()

execution = Table(
    "execution",
    metadata,
    _id(),
    Column("prefix", PathBytes, nullable=False),
    Column("rid", Text, nullable=False),
    Column("server", Text, nullable=False),
    _state(ExecutionState),
    Column("changed_at", Instant, nullable=False),
    Column("next_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("digest", Text),
    Column("verdict", JSON(none_as_null=True)),
    Column("what", Prose),
    Column("why", Prose),
    Column("next", Prose),
    Column("status_set", Text),
    Column("ours", Boolean, nullable=False),
    Column("basis", Text),
    Column("unit", Text),
    Column("execution_rid", Text),
    Column("removal", JSON(none_as_null=True)),
    Column("held", JSON(none_as_null=True)),
    UniqueConstraint("server", "prefix", "rid", name="execution_is_one"),
    Index("execution_by_state", "state", "changed_at"),
    Index("execution_by_next_at", "state", "next_at"),
)

file = Table(
    "file",
    metadata,
    _id(),
    _execution_id(),
    Column("path", PathBytes, nullable=False),
    _state(FileState),
    Column("changed_at", Instant, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("device", Unsigned64, nullable=False),
    Column("inode", Unsigned64, nullable=False),
    Column("statement", Text),
    Column("md5", Text),
    Column("sha256", Text),
    Column("table", Text),
    Column("url", Text),
    Column("rid", Text),
    Column("adopted", Boolean, nullable=False),
    Column("job", JSON(none_as_null=True)),
    Column("names", JSON(none_as_null=True)),
    Column("rows", BigInteger),
    Column("types", JSON(none_as_null=True)),
    Column("removal", JSON(none_as_null=True)),
    Column("held", JSON(none_as_null=True)),
    Column("what", Prose),
    Column("why", Prose),
    Column("next", Prose),
    UniqueConstraint("execution_id", "path", name="file_is_one"),
    Index("file_by_url", "url"),
    Index("file_by_state", "state", "execution_id"),
    Index("file_by_inode", "inode"),
)
_HAS_JOB: Final = file.c.job.is_not(None)
_HAS_REMOVAL: Final = file.c.removal.is_not(None)
Index("file_with_removal", file.c.id, sqlite_where=_HAS_REMOVAL, postgresql_where=_HAS_REMOVAL)
_IS_HELD: Final = file.c.held.is_not(None)
Index("file_held", file.c.id, sqlite_where=_IS_HELD, postgresql_where=_IS_HELD)
_IS_HELD_BACK: Final = execution.c.held.is_not(None)
Index("execution_held", execution.c.id, sqlite_where=_IS_HELD_BACK, postgresql_where=_IS_HELD_BACK)
Index("file_with_job", file.c.id, sqlite_where=_HAS_JOB, postgresql_where=_HAS_JOB)

# How many files an execution has in a state, and their bytes; see `tally`.
tally = Table(
    "tally",
    metadata,
    Column("execution_id", BigInteger, ForeignKey("execution.id"), primary_key=True),
    _state(FileState, primary_key=True),
    Column("files", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

# Rows of a table file, in the order in which they stand there; so many of them are one request.
batch = Table(
    "batch",
    metadata,
    _id(),
    Column("file_id", BigInteger, ForeignKey("file.id"), nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("digests", LargeBinary, nullable=False),
    Column("rids", JSON(none_as_null=True)),
    Column("recorded", Boolean, nullable=False),
    UniqueConstraint("file_id", "first", name="batch_is_one"),
)

# Digests of contents whose directories are not complete yet, by the file that has the content.
digest = Table(
    "digest",
    metadata,
    _id(),
    _execution_id(),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("device", Unsigned64, nullable=False),
    Column("inode", Unsigned64, nullable=False),
    Column("md5", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    UniqueConstraint("execution_id", "device", "inode", name="digest_is_one"),
)

history = Table(
    "history",
    metadata,
    _id(),
    _execution_id(),
    Column("file_id", BigInteger, ForeignKey("file.id")),
    Column("at", Instant, nullable=False),
    Column("trigger", Text),
    Column("before", Text),
    Column("after", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Index("history_by_execution", "execution_id", "file_id"),
)
_OWN: Final = history.c.file_id.is_(None)
_STORED: Final = text("after = 'stored'")
Index(
    "history_of_executions",
    history.c.after,
    history.c.at,
    sqlite_where=_OWN,
    postgresql_where=_OWN,
)
Index("history_of_stored", history.c.at, sqlite_where=_STORED, postgresql_where=_STORED)

# How long this host has been on, in one row; see `core.removal.Uptime`.
uptime = Table(
    "uptime",
    metadata,
    Column("boot", Text, nullable=False),
    Column("boot_s", Double, nullable=False),
    Column("total_s", Double, nullable=False),
)

# That a person pauses all work, in one row; see `core.holds`.
pause = Table("pause", metadata, Column("held", JSON, nullable=False))

# Damaged journals that this one comes after: what they knew may have been sent.
set_aside = Table(
    "set_aside",
    metadata,
    _id(),
    Column("at", Instant, nullable=False),
    Column("path", PathBytes, nullable=False),
    Column("why", Prose, nullable=False),
)

# What was sent and what waited, step by step; see `core.day`.
sample = Table(
    "sample",
    metadata,
    Column("at", Instant, primary_key=True),
    Column("sent_bytes", BigInteger, nullable=False),
    Column("backlog_files", BigInteger, nullable=False),
    Column("backlog_bytes", BigInteger, nullable=False),
)
