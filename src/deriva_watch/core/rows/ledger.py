"""Which rows of a file are already in the catalog: compare the journal with the file.

A row without a key is identified by its position and content. So a row that is in the catalog must
be unchanged in the file; a refused row may be corrected or removed; new rows come last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

from deriva_watch.core.records import BatchRecord
from deriva_watch.core.rows.row_plan import DIGEST_BYTES
from deriva_watch.core.rows.table_files import RawRow, TableFileError

HOLE: Final = bytes(DIGEST_BYTES)
"""The digest of a row that is not in the catalog because it was refused."""


class Written(NamedTuple):
    """A row as it is written, and its digest."""

    row: RawRow
    digest: bytes


@dataclass(slots=True)
class Batch:
    """Rows that are one request.

    Attributes:
        first: Number of the first row within the file, from 0.
        digests: Of the rows; HOLE for one that is not in the catalog.
        rids: The RID leased for each row, None for one that has a key.
        sent: False while it may be unknown whether they arrived.
        todo: The rows to send, by their position in the batch.
    """

    first: int
    digests: list[bytes] = field(default_factory=list)
    rids: list[str | None] = field(default_factory=list)
    sent: bool = True
    todo: dict[int, Written] = field(default_factory=dict)

    @classmethod
    def of(cls, record: BatchRecord) -> Self:
        """Return the batch of a record of the journal."""
        parts = range(0, len(record.digests), DIGEST_BYTES)
        found = [record.digests[at : at + DIGEST_BYTES] for at in parts]
        rids: list[str | None] = [*record.rids] if record.rids else [None] * len(found)
        return cls(record.first, found, rids, record.recorded)

    def append(self, written: Written) -> None:
        """Add a new row."""
        self.todo[len(self.digests)] = written
        self.digests.append(HOLE)
        self.rids.append(None)

    def doubt(self, found: frozenset[str]) -> None:
        """Treat a batch from an unreliable source: keep only RIDs that were *found* in the catalog.

        Every row then has to be sent; one whose RID was found is compared.
        """
        self.sent = False
        self.rids = [rid if rid in found else None for rid in self.rids]

    def settle(self, found: frozenset[str]) -> None:
        """Mark all rows whose RIDs were not *found* in the catalog as missing there."""
        for at, rid in enumerate(self.rids):
            if rid not in found:
                self.digests[at] = HOLE


class ChangedRowError(Exception):
    """A row that is in the catalog was changed in the file or removed from it.

    Attributes:
        place: The line where it was, for a person; None: the file ends before.
    """

    def __init__(self, place: str | None) -> None:
        super().__init__(place)
        self.place = place


class Rows:
    """The rows of a file, with the next one known in advance."""

    def __init__(self, rows: Iterator[Written]) -> None:
        self._rows = rows
        self.next: Written | None = None
        self.broken: TableFileError | None = None  # why there are no more rows
        self._look()

    def take(self) -> Written:
        """Return the next row and advance; there must be one."""
        taken = self.next
        if taken is None:
            raise LookupError("no row is left")
        self._look()
        return taken

    def _look(self) -> None:
        try:
            self.next = next(self._rows, None)
        except TableFileError as error:  # the rows before it count all the same
            self.next, self.broken = None, error


def compare(batch: Batch, rows: Rows, following: bytes | None = None) -> None:
    """Take the rows of *batch* from *rows*; those to send are put into its `todo`.

    Args:
        batch: The batch as the journal has it.
        rows: The rows of the file.
        following: The digest of the row after the batch, if that is in the catalog.

    Raises:
        ChangedRowError: A row that is in the catalog was changed in the file.
        TableFileError: The file cannot be read that far.
    """
    for at, digest in enumerate(batch.digests):
        if digest == HOLE:
            if rows.next and rows.next.digest != _following(batch.digests, at, following):
                batch.todo[at] = rows.take()
            continue
        if rows.broken and rows.next is None:
            raise rows.broken
        if rows.next is None or rows.next.digest != digest:
            raise ChangedRowError(rows.next.row.place if rows.next else None)
        written = rows.take()
        if not batch.sent:  # its RID is there: let it be compared
            batch.todo[at] = written


def _following(digests: Sequence[bytes], at: int, after: bytes | None) -> bytes | None:
    return next((digest for digest in digests[at + 1 :] if digest != HOLE), after)
