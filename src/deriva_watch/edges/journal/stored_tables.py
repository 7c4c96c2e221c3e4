"""The tables that transactions write by prepared statements; one object for a whole journal."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Dialect

from deriva_watch.core.records import BatchRecord, ContentDigest, ExecutionRecord, FileRecord
from deriva_watch.edges.journal.history import LINE
from deriva_watch.edges.journal.prepared import Prepared, write_all
from deriva_watch.edges.journal.schema import batch, digest, execution, file, file_count, history
from deriva_watch.edges.journal.stored_rows import StoredRows


class StoredTables:
    """The tables, with what is remembered of their rows."""

    def __init__(self, dialect: Dialect) -> None:
        unit, path = ("server", "prefix", "rid"), ("execution_id", "path")
        self.executions = StoredRows(execution, ExecutionRecord, unit, dialect)
        self.files = StoredRows(file, FileRecord, path, dialect)
        self.file_count = Prepared(file_count, dialect)
        self._history = Prepared(history, dialect)
        self._batches = Prepared(batch, dialect)
        self._digests = Prepared(digest, dialect)

    def add_history(self, connection: Connection, lines: Sequence[tuple[Any, ...]]) -> None:
        """Add *lines*, as `history_line` makes them."""
        rows = [self._history.stored(LINE, line) for line in lines]
        write_all(connection, self._history.insert(LINE), rows)

    def keep_batch(self, connection: Connection, kept: BatchRecord) -> None:
        """Store the state of a batch of rows, replacing the known one."""
        _put(connection, self._batches, kept, ("file_id", "first"))

    def keep_digest(self, connection: Connection, kept: ContentDigest) -> None:
        """Store the digests of a file, replacing the known ones."""
        _put(connection, self._digests, kept, ("execution_id", "device", "inode"))


def _put(
    connection: Connection,
    table: Prepared,
    record: BatchRecord | ContentDigest,
    key: tuple[str, ...],
) -> None:
    names = tuple(part.name for part in fields(record))
    row = table.stored(names, [getattr(record, name) for name in names])
    write_all(connection, table.upsert(names, key), [row])
