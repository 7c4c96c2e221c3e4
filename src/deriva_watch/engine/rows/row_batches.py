"""Sends batches of rows to a table without duplicates, despite crashes and lost answers.

A row with a unique key is found by its key. Any other row gets a leased RID, which is written to
the journal before it is used.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deriva_watch.core.changes import KeepBatch, NoteFile
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import SYSTEM_COLUMNS
from deriva_watch.core.records import BatchRecord
from deriva_watch.core.rows.adoption import contradictions, natural_key, normal_key
from deriva_watch.core.rows.ledger import HOLE, Batch
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.rows.table_files import RawRow
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.engine.rows.duplicate_rows import Sent, note_duplicates
from deriva_watch.engine.rows.insertion import BATCH_ROWS, Insertion, Written
from deriva_watch.engine.rows.references import References, values_of
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.engine.unit_upload import UnitUpload


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row cannot be uploaded; *name* is its key if another row has the same key."""

    place: str
    why: str
    next: str = "Correct the row; rows that are in the catalog are not sent again."
    name: Hashable = None


@dataclass(slots=True)
class Faults:
    """The rows of one file that cannot be uploaded: the first of them, and their number."""

    first: Fault | None = None
    count: int = 0

    def add(self, place: str, why: str, **more: Any) -> None:
        """Count one."""
        self.first = self.first or Fault(place, why, **more)
        self.count += 1

    def refusal(self, path: str, earlier: str | None = None) -> RefusedError:
        """Return the error for the file; *earlier* is the place of a row with the same key."""
        fault = self.first or Fault("the file", "nothing is wrong with it")
        both = f" ({earlier} has the same key)" if earlier else ""
        more = f"; {self.count} rows in all cannot be uploaded" if self.count > 1 else ""
        why = f"{fault.place}: {fault.why}{both}{more}"
        return RefusedError(f"cannot upload all rows of {path}", why, fault.next)


@dataclass(slots=True)
class Sender:
    """Sends batches of one file."""

    upload: UnitUpload
    plan: RowsPlan
    catalog: Catalog
    writer: CatalogWriter
    call_retry: CallRetry
    references: References
    faults: Faults = field(default_factory=Faults)

    # ------------------------------------------------------------------ one row

    def ready(self, row: RawRow) -> Row | None:
        """Return the values of *row* to send, or None if it cannot be sent."""
        try:
            return self._values(row)
        except ValueError:
            return None

    def values(self, row: RawRow) -> Row | None:
        """Like `ready`, but count a row that cannot be sent."""
        try:
            return self._values(row)
        except ValueError as error:
            self.faults.add(row.place, str(error))
            return None

    def _values(self, row: RawRow) -> Row:
        if row.recorded:
            return {}  # nothing of it is sent
        return values_of(self.plan, self.references, row)

    def name(self, row: RawRow) -> Hashable:
        """Return the key of *row*, or None."""
        values = self.ready(row)
        if values is None or (key := natural_key(self.plan.definition, values)) is None:
            return None
        return self._name(sorted(key), values)

    def _name(self, key: list[str], values: Mapping[str, Any]) -> Hashable:
        return normal_key(key, self.plan.definition, values)

    # ------------------------------------------------------------------ one batch

    def send(self, batch: Batch, there: int) -> None:
        """Send the rows of *batch* that are not in the catalog, and write it to the journal.

        Args:
            batch: The rows; afterwards its digests are those of the rows in the catalog.
            there: How many earlier rows of the file are in the catalog.
        """
        self.verify()
        made = {at: self.values(written.row) for at, written in batch.todo.items()}
        rows = {at: values for at, values in made.items() if values is not None}
        self.references.respell(self.plan, list(rows.values()))
        for at in made.keys() - rows.keys():
            if batch.rids[at] is None:  # only a hint said that it is in the catalog
                batch.digests[at] = HOLE
        claimed = {at for at in rows if batch.todo[at].row.recorded}
        keys = {
            at: natural_key(self.plan.definition, values)
            for at, values in rows.items()
            if at not in claimed
        }
        twins = self._twins(batch, rows, keys)
        keyless = [at for at, key in keys.items() if key is None]
        if keyless:
            self._lease(batch, keyless)
            self._keep(batch, {at: batch.todo[at].digest for at in keyless}, there, sent=False)
        items = {
            at: self._insertion(rows[at], keys[at], batch.rids[at], self._order(rows, keys))
            for at in keys
            if at not in twins
        }
        told = dict(zip(items, self.writer.insert(list(items.values())), strict=True))
        arrived = claimed | {
            at for at in told if self._is_in(batch.todo[at].row, items[at], told[at])
        }
        arrived |= {at for at, first in twins.items() if first in arrived}
        if fresh := [at for at in keyless if at in arrived]:
            place, rid = batch.todo[fresh[0]].row.place, str(batch.rids[fresh[0]])
            note_duplicates(
                self.upload, self.plan, Sent(place, rid, rows[fresh[0]]), self._rows_where
            )
        for at in rows:
            batch.digests[at] = batch.todo[at].digest if at in arrived else HOLE
        batch.sent = True
        self._keep(batch, {}, there, sent=True)

    def verify(self) -> None:
        """Check that the file is unchanged."""
        if self.plan.is_file:
            self.upload.disk.verify(self.plan.entry)

    def found(self, batch: Batch) -> frozenset[str]:
        """Return which RIDs of *batch* are rows of the table; a lost answer left it open."""
        rids = [rid for rid in batch.rids if rid]
        rows = self.call_retry(
            f"GET {self.plan.table}", lambda: self.catalog.rows_with(self.plan.table, "RID", rids)
        )
        return frozenset(row["RID"] for row in rows)

    def _twins(
        self, batch: Batch, rows: dict[int, Row], keys: dict[int, frozenset[str] | None]
    ) -> dict[int, int]:
        """Return rows equal to an earlier one; a row with only its key in common is a fault."""
        seen: dict[Hashable, int] = {}
        twins: dict[int, int] = {}
        for at, key in list(keys.items()):
            if key is None:
                continue
            name = self._name(sorted(key), rows[at])
            first = seen.setdefault(name, at)
            if first == at:
                continue
            if contradictions(self.plan.definition, rows[at], rows[first]):
                said = _shown(rows[at], key)
                where = batch.todo[first].row.place
                why = f"{where} has the same {said} and says otherwise"
                self.faults.add(batch.todo[at].row.place, why)
                del keys[at]
            else:
                twins[at] = first
        return twins

    def _order(
        self, rows: Mapping[int, Row], keys: Mapping[int, frozenset[str] | None]
    ) -> Mapping[str, int]:
        """Return how many values each column has: rows are looked up by the most selective one."""
        columns = {column for key in keys.values() if key for column in key}
        return {c: len({str(rows[at].get(c)) for at in keys}) for c in columns}

    def _insertion(
        self, values: Row, key: frozenset[str] | None, rid: str | None, spread: Mapping[str, int]
    ) -> Insertion:
        table = self.plan.definition
        given = frozenset(c.name for c in table.columns if c.has_default and c.name in values)
        if key is None:
            return Insertion(
                self.plan.table, {**values, "RID": rid}, ("RID",), given_rid=True, apart=given
            )
        columns = sorted(key, key=lambda name: (-spread[name], name))
        return Insertion(
            self.plan.table,
            values,
            tuple(columns),
            apart=given,
            named=lambda row: (self._name(columns, row),),
        )

    def _lease(self, batch: Batch, keyless: list[int]) -> None:
        """Give each row a permanent RID."""
        names = {at: self._lease_name(batch, at) for at in keyless if batch.rids[at] is None}
        if names and not self.upload.surely_new(self.plan.entry):
            rid = self.upload.execution.rid
            raise RefusedError(
                f"cannot upload {self.plan.path}",
                "it is older than the journal, and as its rows have no key, it is not known "
                "whether they are in the catalog",
                f"Check {self.plan.table}. If it has none of them, run `deriva-watch retry {rid}`. "
                "If it has some, remove these from the file first.",
            )
        if names:
            wanted = list(names.values())
            leased = self.writer.run(
                lambda: self.call_retry("POST leases", lambda: self.catalog.lease(wanted))
            )
            for at, name in names.items():
                batch.rids[at] = leased[name]

    def _lease_name(self, batch: Batch, at: int) -> str:
        execution, place = self.upload.execution, batch.first + at
        said = [execution.server, execution.prefix, execution.rid, self.plan.path, place]
        digest = batch.todo[at].digest.hex()
        return "deriva-watch:" + hashlib.sha256(json.dumps([*said, digest]).encode()).hexdigest()

    def _keep(
        self, batch: Batch, on_the_way: Mapping[int, bytes], there: int, *, sent: bool
    ) -> None:
        """Write the progress of a batch to the journal."""
        digests = [on_the_way.get(at, digest) for at, digest in enumerate(batch.digests)]
        number = self.upload.records[self.plan.path].id
        rids = batch.rids if any(batch.rids) else None
        kept = BatchRecord(number, batch.first, b"".join(digests), rids, sent)
        count = there + sum(digest != HOLE for digest in batch.digests)
        self.upload.journal.commit([KeepBatch(kept), NoteFile(number, {"rows": count})])

    # ------------------------------------------------------------------ results

    def _is_in(self, row: RawRow, item: Insertion, written: Written) -> bool:
        """Return whether a row is in the catalog as in the file; count it as a fault if not."""
        if written.error:
            self.faults.add(row.place, written.error.why, next=written.error.next)
            return False
        if written.inserted:
            return True
        if written.row is None:
            self.faults.add(row.place, self._hidden(item.row))
            return False
        odd = contradictions(self.plan.definition, item.row, written.row)
        if odd:
            said = "; ".join(f"{c} = {written.row.get(c)!r}, not {item.row[c]!r}" for c in odd)
            why = f"row {written.row['RID']} of {self.plan.table} has the same key and says {said}"
            name = None if item.given_rid else self._name(sorted(item.key), item.row)
            self.faults.add(row.place, why, name=name)
        return not odd

    def _hidden(self, values: Row) -> str:
        """Return why a row was not inserted although no visible row has its key."""
        for key in self.plan.definition.keys:
            wanted = {name: values.get(name) for name in sorted(key - SYSTEM_COLUMNS)}
            if not wanted or None in wanted.values():
                continue
            if rows := self._rows_where(wanted):
                return (
                    f"row {rows[0]['RID']} of {self.plan.table} has {_shown(values, key)} already"
                )
        return "a row with its key exists but is not visible to this identity"

    def _rows_where(self, wanted: Row) -> list[Row]:
        """Return some rows with the values *wanted*: more than one batch can have."""
        table = self.plan.table
        return self.call_retry(
            f"GET {table}", lambda: self.catalog.rows_where(table, wanted, BATCH_ROWS + 1)
        )


def _shown(values: Row, key: frozenset[str]) -> str:
    return ", ".join(f"{name} = {values[name]!r}" for name in sorted(key))
