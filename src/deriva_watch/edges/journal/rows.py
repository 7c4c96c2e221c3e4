"""The rows of one table while a transaction lasts: read once, changed here, written back once.

So a thousand changes cost a few statements, and each change sees the ones before it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, replace
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, Select, Table, bindparam, insert, select, update

from deriva_watch.core.records import ExecutionRecord, FileRecord

LIST_LENGTH: Final = 500  # values in one IN (…)

_R = TypeVar("_R", ExecutionRecord, FileRecord)


class Rows(Generic[_R]):
    """Records of *kind* by number, as the transaction will leave them."""

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
        asked = sorted(numbers - self._records.keys())
        for start in range(0, len(asked), LIST_LENGTH):
            part = self._table.c.id.in_(asked[start : start + LIST_LENGTH])
            query = select_records(self._table, self._kind).where(part).with_for_update()
            for row in self._connection.execute(query):
                self._records[row[0]] = self._kind(*row)

    def add(self, records: Sequence[_R]) -> list[_R]:
        """Insert *records* now and return them with the numbers they were given."""
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
        """Set *facts* of a row and return what it is now."""
        changed = self._records[number] = replace(self._records[number], **facts)
        self._changed[number].update(facts)
        return changed

    def write(self) -> None:
        """Write what was changed: one statement for all rows with the same columns changed."""
        groups: defaultdict[frozenset[str], list[dict[str, Any]]] = defaultdict(list)
        for number, names in self._changed.items():
            if names:
                values = {name: getattr(self._records[number], name) for name in names}
                groups[frozenset(names)].append({"number": number, **values})
        statement = update(self._table).where(self._table.c.id == bindparam("number"))
        for values_of_all in groups.values():
            self._connection.execute(statement, values_of_all)
        self._changed.clear()


def select_records(table: Table, kind: type[Any]) -> Select[Any]:
    """Select the columns of *kind* in the order of its fields."""
    return select(*(table.c[part.name] for part in fields(kind)))
