"""The tables; the columns of most are the fields of a record.

A change of a table, or of a field of a record, needs a new file in `database/migrations/versions`
and a new REVISION.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Double,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.types import TypeDecorator

from deriva_watch.core.records import (
    BatchRecord,
    ContentDigest,
    DamagedJournal,
    ExecutionRecord,
    FileRecord,
    HistoryRecord,
)
from deriva_watch.core.removal.removal import Uptime
from deriva_watch.core.states import FileState
from deriva_watch.core.stats.day import Sample

REVISION: Final = "0002"


class PathBytes(TypeDecorator[str]):
    """A path as the bytes of the file system; in Python a `str` with surrogate escapes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Return the bytes."""
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text."""
        return None if value is None else os.fsdecode(value)


class Prose(TypeDecorator[str]):
    """A sentence. Surrogates in it, from a name that is not UTF-8, are stored as escapes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the value to store."""
        return None if value is None else value.encode(errors="backslashreplace").decode()


class Instant(TypeDecorator[datetime]):
    """A time in UTC, in microseconds, also in a database without time zones."""

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
    """A device or inode number: network file systems use all 64 bits, a BIGINT has a sign."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return the signed number with the same bits."""
        return value - 2**64 if value is not None and value >= 2**63 else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return the unsigned number."""
        return value + 2**64 if value is not None and value < 0 else value


_BY_NAME: Final[dict[str, Any]] = {
    **dict.fromkeys(("prefix", "path"), PathBytes),
    **dict.fromkeys(("device", "inode"), Unsigned64),
    **dict.fromkeys(("what", "why", "next"), Prose),
}
_BY_TYPE: Final[dict[Any, Any]] = {
    str: Text,
    int: BigInteger,
    float: Double,
    bool: Boolean,
    bytes: LargeBinary,
    datetime: Instant,
    Mapping: JSON(none_as_null=True),
    Sequence: JSON(none_as_null=True),
}
_REFERENCES: Final = {"execution_id": "execution.id", "file_id": "file.id"}


def _columns(record: type[Any], *key: str) -> list[Column[Any]]:
    """Return a column for each field of *record*; those named in *key* are the primary key."""
    hints = get_type_hints(record)
    return [_column(name, kind, is_key=name in key) for name, kind in hints.items()]


def _column(name: str, hint: Any, *, is_key: bool) -> Column[Any]:
    if name == "id":
        return _id()
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    [kind] = [each for each in kinds if each is not NoneType]
    references = [ForeignKey(_REFERENCES[name])] if name in _REFERENCES else []
    stored = _BY_NAME.get(name) or _stored(kind)
    return Column(name, stored, *references, nullable=NoneType in kinds, primary_key=is_key)


def _stored(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        values = [each.value for each in kind]
        return Enum(kind, values_callable=lambda _: values, native_enum=False, length=16)
    return _BY_TYPE[get_origin(kind) or kind]


def _id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _index_where(name: str, condition: Any, *columns: Any) -> None:
    """Add an index of the rows that fulfil *condition*."""
    _CONDITIONS[Index(name, *columns, sqlite_where=condition)] = condition


@dataclass(frozen=True, slots=True)
class _FileCount:
    """How many files an execution has in a state, and their bytes; see `FileCounts`."""

    execution_id: int
    state: FileState
    files: int
    bytes: int


metadata = MetaData()
_CONDITIONS: Final[dict[Index, Any]] = {}


@event.listens_for(metadata, "before_create")
def _give_conditions(_: MetaData, connection: Connection, **__: Any) -> None:
    """Give indexes their conditions in PostgreSQL too; named earlier, they load its dialects."""
    if connection.dialect.name == "postgresql":
        for index, condition in _CONDITIONS.items():
            index.dialect_options["postgresql"]["where"] = condition


execution = Table(
    "execution",
    metadata,
    *_columns(ExecutionRecord),
    UniqueConstraint("server", "prefix", "rid", name="execution_is_one"),
    Index("execution_by_state", "state", "changed_at"),
    Index("execution_by_next_at", "state", "next_at"),
)
_index_where("execution_held", execution.c.held.is_not(None), execution.c.id)
_index_where("execution_differs", execution.c.differs.is_not(None), execution.c.id)
_index_where("execution_with_basis", execution.c.basis.is_not(None), execution.c.id)
_index_where(
    "execution_by_execution_rid",
    execution.c.execution_rid.is_not(None),
    execution.c.execution_rid,
)
_was_uploaded = execution.c.proved_at.is_not(None)
_index_where("execution_by_proof", _was_uploaded, execution.c.proved_at)
_index_where("execution_by_verification", _was_uploaded, execution.c.verified_at)

file = Table(
    "file",
    metadata,
    *_columns(FileRecord),
    UniqueConstraint("execution_id", "path", name="file_is_one"),
    Index("file_by_url", "url"),
    Index("file_by_state", "state", "execution_id"),
    Index("file_by_inode", "inode"),
)
_index_where("file_with_job", file.c.job.is_not(None), file.c.id)
_index_where("file_being_removed", text("removal IS NOT NULL AND state != 'removed'"), file.c.id)
_index_where("file_held", file.c.held.is_not(None), file.c.id)

file_count = Table("file_count", metadata, *_columns(_FileCount, "execution_id", "state"))

# Rows of a table file, in the order of the file; those of one batch were one request.
batch = Table("batch", metadata, *_columns(BatchRecord, "file_id", "first"))

digest = Table("digest", metadata, *_columns(ContentDigest, "execution_id", "device", "inode"))

history = Table(
    "history",
    metadata,
    *_columns(HistoryRecord),
    Index("history_by_execution", "execution_id", "file_id"),
)
_index_where("history_of_executions", history.c.file_id.is_(None), history.c.after, history.c.at)
_index_where("history_of_stored", text("after = 'stored'"), history.c.at)

uptime = Table("uptime", metadata, *_columns(Uptime))  # one row: how long this host has been on

# One row while a person pauses all work: a `Hold`.
pause = Table("pause", metadata, Column("held", JSON, nullable=False))

# What these knew may have been sent already.
damaged_journal = Table("damaged_journal", metadata, *_columns(DamagedJournal, "path"))

sample = Table("sample", metadata, *_columns(Sample, "at"))

# Alembic's table; not part of `metadata`, which Alembic compares a journal with.
revision = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
