"""What one transaction reads and changes: read once, changed here, written together at the end.

So a thousand changes cost a few statements, and each change sees the ones before it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.states import FileState
from deriva_watch.edges.journal.queries import in_parts, select_records
from deriva_watch.edges.journal.schema import file_count

_R = TypeVar("_R", ExecutionRecord, FileRecord)
_Place = tuple[int, FileState]  # number of the execution, state of the files


class RowCache(Generic[_R]):
    """The records of *table* by number, as the transaction will leave them."""

    def __init__(self, connection: Connection, table: Table, kind: type[_R]) -> None:
        self._connection = connection
        self._table = table
        self._kind: type[_R] = kind
        self._records: dict[int, _R] = {}
        self._changed: defaultdict[int, set[str]] = defaultdict(set)

    def __getitem__(self, number: int) -> _R:
        return self._records[number]

    def load(self, numbers: AbstractSet[int]) -> None:
        """Read the rows with *numbers* that were not read yet."""
        for part in in_parts(sorted(numbers - self._records.keys())):
            query = select_records(self._table, self._kind).where(self._table.c.id.in_(part))
            for row in self._connection.execute(query.with_for_update()):
                self._records[row[0]] = self._kind(*row)

    def add(self, records: Sequence[_R]) -> list[_R]:
        """Insert *records* now and return them with their new numbers."""
        if not records:
            return []
        names = [part.name for part in fields(self._kind) if part.name != "id"]
        values = [{name: getattr(record, name) for name in names} for record in records]
        adding = insert(self._table).returning(self._table.c.id, sort_by_parameter_order=True)
        numbers = self._connection.scalars(adding, values).all()
        added = [replace(record, id=i) for record, i in zip(records, numbers, strict=True)]
        self._records.update((record.id, record) for record in added)
        return added

    def change(self, number: int, facts: Mapping[str, Any]) -> _R:
        """Set *facts* of a record and return the changed record."""
        changed = self._records[number] = replace(self._records[number], **facts)
        self._changed[number].update(facts)
        return changed

    def write(self) -> None:
        """Write all changes: one statement for all rows with the same columns changed."""
        groups: defaultdict[frozenset[str], list[dict[str, Any]]] = defaultdict(list)
        for number, names in self._changed.items():
            if names:
                values = {name: getattr(self._records[number], name) for name in names}
                groups[frozenset(names)].append({"number": number, **values})
        statement = update(self._table).where(self._table.c.id == bindparam("number"))
        for values_of_all in groups.values():
            self._connection.execute(statement, values_of_all)
        self._changed.clear()


class FileCounts:
    """The changes of one transaction to the table `file_count`.

    The counts are kept because counting a million files takes more than the second between two
    looks at the status.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changes: defaultdict[_Place, list[int]] = defaultdict(lambda: [0, 0])

    def moved(self, before: FileRecord | None, after: FileRecord) -> None:
        """Count a file that changed from *before*, None for a new one, to *after*."""
        if before is not None:
            self._count(before, -1)
        self._count(after, 1)

    def write(self) -> None:
        """Write all changes."""
        changed = {place: by for place, by in self._changes.items() if any(by)}
        self._changes.clear()
        if not changed:
            return
        known = self._known({number for number, _ in changed})
        new = [_empty_row(place) for place in changed if place not in known]
        if new:
            self._connection.execute(insert(file_count), new)
        at_place = (file_count.c.execution_id == bindparam("number")) & (
            file_count.c.state == bindparam("place")
        )
        sums: dict[str, Any] = {
            "files": file_count.c.files + bindparam("more_files"),
            "bytes": file_count.c.bytes + bindparam("more_bytes"),
        }
        self._connection.execute(
            update(file_count).where(at_place).values(sums),
            [
                {"number": number, "place": state, "more_files": files, "more_bytes": size_bytes}
                for (number, state), (files, size_bytes) in changed.items()
            ],
        )

    def _count(self, file: FileRecord, sign: int) -> None:
        counts = self._changes[file.execution_id, file.state]
        counts[0] += sign
        counts[1] += sign * file.size_bytes

    def _known(self, executions: Iterable[int]) -> set[_Place]:
        places = select(file_count.c.execution_id, file_count.c.state)
        found: set[_Place] = set()
        for part in in_parts(sorted(executions)):
            rows = self._connection.execute(places.where(file_count.c.execution_id.in_(part)))
            found.update((number, state) for number, state in rows)
        return found


def _empty_row(place: _Place) -> dict[str, Any]:
    number, state = place
    return {"execution_id": number, "state": state, "files": 0, "bytes": 0}
