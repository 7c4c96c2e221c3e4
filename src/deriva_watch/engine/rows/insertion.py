"""Rows to insert, what became of them, and how they are sorted into requests."""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import TableName
from deriva_watch.engine.ports import Row

BATCH_ROWS: Final = 1000
BATCH_BYTES: Final = 250 * 1024
Identity = tuple[object, ...]
_CONTENT: Final = ("MD5", "Filename", "Length")


@dataclass(frozen=True, slots=True, eq=False)
class Insertion:
    """A row to insert.

    Attributes:
        table: The table.
        row: Its columns.
        key: Columns of a unique key of the row, by which it is found afterwards.
        given_rid: The row has a RID that it must keep.
        is_new: That RID was leased a moment ago, so no row has it: it is not looked up first.
        apart: Rows with different values are sent in different requests.
        named: Returns the key of a row in a normal form, if equal values can be written
            differently.
        adopt: For an asset row: returns the one of the rows with the same MD5 to use instead, or
            None to insert. Called right before the INSERT.
    """

    table: TableName
    row: Row
    key: tuple[str, ...]
    given_rid: bool = False
    is_new: bool = False
    adopt: Callable[[list[Row]], Row | None] | None = None
    apart: Hashable = None
    named: Callable[[Row], Identity] | None = None

    def identity(self) -> Identity:
        """One request must not have two rows of the same identity."""
        return _values(self.row, _CONTENT) if self.adopt else self.name(self.row)

    def name(self, row: Row) -> Identity:
        """Return the key of *row*, which is this row or one of the catalog."""
        return self.named(row) if self.named else _values(row, self.key)


@dataclass(frozen=True, slots=True)
class Written:
    """The result of an `Insertion`.

    Attributes:
        row: The row in the catalog; None if it was refused, or exists but is not visible to us.
        inserted: Whether we inserted it; False if it existed.
        error: Why the catalog refused the row.
    """

    row: Row | None
    inserted: bool = False
    error: RefusedError | None = None


class Item(NamedTuple):
    """A row to insert, with what sorting rows into requests needs of it."""

    insertion: Insertion
    identity: Identity
    size_bytes: int  # about what it takes in a request


def items_of(insertions: Sequence[Insertion]) -> list[Item]:
    """Return rows with their identities and sizes; TypeError for a row that cannot be sent."""
    sizes = _sizes_bytes([each.row for each in insertions])
    items = [Item(each, each.identity(), n) for each, n in zip(insertions, sizes, strict=True)]
    hash(tuple(item.identity for item in items))
    return items


def _sizes_bytes(rows: list[Row]) -> list[int]:
    """Return about how long each row is; the same for all if they fit into one request."""
    together = len(json.dumps(rows))  # takes a fifth of the time of row by row
    if together <= BATCH_BYTES:
        return [together // len(rows)] * len(rows) if rows else []
    return [len(json.dumps(row)) for row in rows]


def batches(items: Iterable[Item]) -> Iterator[list[Insertion]]:
    """Split rows into requests: one table, limited rows and bytes, no identity twice."""
    groups: dict[Hashable, deque[Item]] = defaultdict(deque)
    for item in items:
        row = item.insertion
        groups[row.table, row.given_rid, row.key, row.apart].append(item)
    for left in groups.values():
        while left:
            yield _taken(left)


def _taken(left: deque[Item]) -> list[Insertion]:
    """Take the rows of one request from the front; at least one."""
    batch: list[Insertion] = []
    seen, later, size_bytes = set[Identity](), list[Item](), 0
    while left and len(batch) < BATCH_ROWS:
        size_bytes += left[0].size_bytes
        if batch and size_bytes > BATCH_BYTES:
            break
        item = left.popleft()
        if item.identity in seen:
            later.append(item)
        else:
            seen.add(item.identity)
            batch.append(item.insertion)
    left.extendleft(reversed(later))
    return batch


def _values(row: Row, columns: Iterable[str]) -> Identity:
    return tuple(row[column] for column in columns)
