"""The rows of one table as records: read, inserted and changed by prepared statements."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import JSON, Connection, Dialect, Table

from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.edges.journal.prepared import Prepared, write_all
from deriva_watch.edges.journal.schema import Instant, Prose

_R = TypeVar("_R", ExecutionRecord, FileRecord)

_SIZES: Final = (500, 64, 8, 1)  # rows in one statement: few sizes, so that the driver knows them
_LARGEST: Final = 64  # rows in one insertion: some 1,700 parameters
_REMEMBERED: Final = 4096  # records: some 6 MB


class StoredRows(Generic[_R]):
    """The rows of *table*. The latest ones are remembered, because only this process writes.

    Args:
        table: The table; its columns are the fields of *kind*.
        kind: The record of a row.
        key: The columns that identify a row, beside its number.
        dialect: Of the driver.
    """

    def __init__(
        self, table: Table, kind: type[_R], key: tuple[str, ...], dialect: Dialect
    ) -> None:
        self._prepared = Prepared(table, dialect)
        self._kind: type[_R] = kind
        self._names = tuple(part.name for part in fields(kind))
        self._places = {name: place for place, name in enumerate(self._names)}
        self._values = attrgetter(*self._names)
        self._key = key
        self._key_of = attrgetter(*key)
        # Values that come back in another form; the transaction gives `changed_at` in UTC.
        self._rewritten = {
            column.name
            for column in table.columns
            if isinstance(column.type, JSON | Prose | Instant) and column.name != "changed_at"
        }
        self._converted = [
            (place, name) for name, place in self._places.items() if self._prepared.converts(name)
        ]
        self._remembered: dict[int, _R] = {}  # the latest last

    def read(self, connection: Connection, numbers: Collection[int]) -> dict[int, _R]:
        """Return the records with *numbers*, by number; unknown numbers are left out."""
        remembered = self._remembered
        found = {number: remembered[number] for number in numbers if number in remembered}
        unread = sorted(number for number in numbers if number not in found)
        for part in _padded(unread):
            query = self._prepared.select(self._names, len(part))
            for row in connection.exec_driver_sql(query, part):
                found[row[0]] = self._record(row)
        return found

    def insert(self, connection: Connection, records: Sequence[_R]) -> list[_R]:
        """Insert *records* and return them with their numbers."""
        stored = [self._prepared.stored(self._names, self._values(each)) for each in records]
        numbers: dict[tuple[Any, ...], int] = {}
        start = 0
        while left := len(records) - start:
            rows = max(size for size in _SIZES if size <= min(left, _LARGEST))
            values = chain.from_iterable(row[1:] for row in stored[start : start + rows])
            adding = self._prepared.insert(self._names[1:], rows, "id", *self._key)
            for number, *key in connection.exec_driver_sql(adding, tuple(values)):
                numbers[tuple(map(self._prepared.loaded, self._key, key))] = number
            start += rows
        return [
            self.changed(self._as_read(each, self._names, row), {"id": numbers[self._key_of(each)]})
            for each, row in zip(records, stored, strict=True)
        ]

    def changed(self, record: _R, facts: Mapping[str, Any]) -> _R:
        """Return *record* with other *facts*: `dataclasses.replace`, but many times a file."""
        values = list(self._values(record))
        for name, value in facts.items():
            if name not in self._places:
                raise TypeError(f"{name!r} is no fact of {self._kind.__name__}")
            values[self._places[name]] = value
        return self._kind(*values)

    def update(
        self, connection: Connection, names: tuple[str, ...], records: Sequence[_R]
    ) -> list[_R]:
        """Write the columns *names* of *records*; return these as they will be read."""
        columns = (*names, "id")
        get = attrgetter(*columns)
        stored = [self._prepared.stored(columns, get(record)) for record in records]
        write_all(connection, self._prepared.update(names), stored)
        return [
            self._as_read(record, columns, row) for record, row in zip(records, stored, strict=True)
        ]

    def remember(self, records: Mapping[int, _R]) -> None:
        """Keep *records*, which are durable."""
        for number, record in records.items():
            self._remembered.pop(number, None)
            self._remembered[number] = record
        while len(self._remembered) > _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def _record(self, row: Sequence[Any]) -> _R:
        values = list(row)
        for place, name in self._converted:
            if (value := values[place]) is not None:
                values[place] = self._prepared.loaded(name, value)
        return self._kind(*values)

    def _as_read(self, record: _R, names: tuple[str, ...], stored: tuple[Any, ...]) -> _R:
        """Return *record*, whose columns *names* were *stored*, as it will be read."""
        rewritten = {
            name: self._prepared.loaded(name, value)
            for name, value in zip(names, stored, strict=True)
            if value is not None and name in self._rewritten
        }
        return self.changed(record, rewritten) if rewritten else record


def _padded(numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield *numbers* in parts of one of a few sizes; the last number fills up its part."""
    for start in range(0, len(numbers), _SIZES[0]):
        part = tuple(numbers[start : start + _SIZES[0]])
        size = min(each for each in _SIZES if each >= len(part))
        yield part + part[-1:] * (size - len(part))
