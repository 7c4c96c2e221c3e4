"""What one transaction reads and changes: read once, changed here, written together at the end.

So a thousand changes cost a few statements, and each change sees the ones before it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection

from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.states import FileState
from deriva_watch.edges.journal.prepared import Prepared, write_all
from deriva_watch.edges.journal.stored_rows import StoredRows

_R = TypeVar("_R", ExecutionRecord, FileRecord)
_Place = tuple[int, FileState]  # number of the execution, state of the files

_COUNT: Final = ("execution_id", "state", "files", "bytes")


class RowCache(Generic[_R]):
    """The records of one table by number, as the transaction will leave them."""

    def __init__(self, connection: Connection, stored: StoredRows[_R]) -> None:
        self._connection = connection
        self._stored: StoredRows[_R] = stored
        self._records: dict[int, _R] = {}
        self._changed: defaultdict[int, set[str]] = defaultdict(set)

    def __getitem__(self, number: int) -> _R:
        return self._records[number]

    def load(self, numbers: AbstractSet[int]) -> None:
        """Read the rows with *numbers* that were not read yet."""
        if unread := numbers - self._records.keys():
            self._records.update(self._stored.read(self._connection, unread))

    def add(self, records: Sequence[_R]) -> list[_R]:
        """Insert *records* now and return them with their new numbers."""
        added = self._stored.insert(self._connection, records)
        self._records.update((record.id, record) for record in added)
        return added

    def change(self, number: int, facts: Mapping[str, Any]) -> _R:
        """Set *facts* of a record and return the changed record."""
        before = self._records[number]
        changed = self._records[number] = self._stored.changed(before, facts)
        self._changed[number].update(
            name for name in facts if facts[name] is not None or getattr(before, name) is not None
        )
        return changed

    def write(self) -> None:
        """Write all changes: one statement for all rows with the same columns changed."""
        groups: defaultdict[tuple[str, ...], list[_R]] = defaultdict(list)
        for number, names in self._changed.items():
            if names:
                groups[tuple(sorted(names))].append(self._records[number])
        for columns, records in groups.items():
            written = self._stored.update(self._connection, columns, records)
            self._records.update((record.id, record) for record in written)
        self._changed.clear()

    def remember(self) -> None:
        """Keep what was read and written for the next transaction: this one is durable."""
        self._stored.remember(self._records)


class FileCounts:
    """The changes of one transaction to the table `file_count`.

    The counts are kept because counting a million files takes more than the second between two
    looks at the status.
    """

    def __init__(self, connection: Connection, prepared: Prepared) -> None:
        self._connection = connection
        self._prepared = prepared
        self._changes: defaultdict[_Place, list[int]] = defaultdict(lambda: [0, 0])

    def moved(self, before: FileRecord | None, after: FileRecord) -> None:
        """Count a file that changed from *before*, None for a new one, to *after*."""
        if before is not None:
            self._count(before, -1)
        self._count(after, 1)

    def write(self) -> None:
        """Write all changes."""
        changed = [
            self._prepared.stored(_COUNT, (*place, *by))
            for place, by in self._changes.items()
            if any(by)
        ]
        self._changes.clear()
        adding = self._prepared.upsert(_COUNT, _COUNT[:2], *_COUNT[2:])
        write_all(self._connection, adding, changed)

    def _count(self, file: FileRecord, sign: int) -> None:
        counts = self._changes[file.execution_id, file.state]
        counts[0] += sign
        counts[1] += sign * file.size_bytes
