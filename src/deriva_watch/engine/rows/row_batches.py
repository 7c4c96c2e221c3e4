"""A batch of rows on its way into a table, so that no crash and no lost answer doubles one.

A row that gives a unique key of its own is known by it. Any other gets a leased RID, which is in
the journal before it is used.
"""

import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import SYSTEM_COLUMNS
from deriva_watch.core.records import BatchRecord, KeepBatch, NoteFile
from deriva_watch.core.rows.adoption import contradictions, natural_key, said_by
from deriva_watch.core.rows.ledger import HOLE, Batch
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.rows.table_files import RawRow
from deriva_watch.engine.call_retry import Patience
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.engine.rows.duplicate_rows import Sent, tell_doubled
from deriva_watch.engine.rows.references import References, values_of
from deriva_watch.engine.rows.writer import CatalogWriter, Insertion, Written
from deriva_watch.engine.unit_upload import Upload


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row cannot be brought in; *name* is what its key says, where another row has it."""

    place: str
    why: str
    next: str = "Mend the row; what is in already is not sent again."
    name: Hashable = None


@dataclass(slots=True)
class Faults:
    """The rows of one file that cannot be brought in: the first of them, and how many."""

    first: Fault | None = None
    count: int = 0

    def add(self, place: str, why: str, **more: Any) -> None:
        """Count one."""
        self.first = self.first or Fault(place, why, **more)
        self.count += 1

    def refusal(self, path: str, earlier: str | None = None) -> RefusedError:
        """Return what to say of the file; *earlier* is the place of a row with the same key."""
        fault = self.first or Fault("the file", "nothing is wrong with it")
        both = f" ({earlier} has the same key)" if earlier else ""
        more = f"; {self.count} rows in all cannot be uploaded" if self.count > 1 else ""
        why = f"{fault.place}: {fault.why}{both}{more}"
        return RefusedError(f"cannot upload all rows of {path}", why, fault.next)


@dataclass(slots=True)
class Sender:
    """Sends batches of one file."""

    upload: Upload
    plan: RowsPlan
    catalog: Catalog
    writer: CatalogWriter
    patience: Patience
    references: References
    faults: Faults = field(default_factory=Faults)

    # ------------------------------------------------------------------ one row

    def ready(self, row: RawRow) -> Row | None:
        """Return what of *row* is sent, or None: it cannot be."""
        try:
            return self._values(row)
        except ValueError:
            return None

    def values(self, row: RawRow) -> Row | None:
        """As `ready`, and count a row that cannot be sent."""
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
        """Return what the key of *row* says, or None."""
        values = self.ready(row)
        if values is None or (key := natural_key(self.plan.definition, values)) is None:
            return None
        return self._name(sorted(key), values)

    def _name(self, key: list[str], values: Mapping[str, Any]) -> Hashable:
        return said_by(key, self.plan.definition, values)

    # ------------------------------------------------------------------ one batch

    def send(self, batch: Batch, there: int) -> None:
        """Send what of *batch* is not in; the journal has it before, where need be, and after.

        Args:
            batch: The rows; afterwards its digests are those of the rows that are in.
            there: How many rows of the file are in before it.
        """
        self.verify()
        made = {at: self.values(written.row) for at, written in batch.todo.items()}
        rows = {at: values for at, values in made.items() if values is not None}
        for at in made.keys() - rows.keys():
            if batch.rids[at] is None:  # nobody but a hint said that it is in
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
            tell_doubled(self.upload, self.plan, Sent(place, rid, rows[fresh[0]]), self._rows_where)
        for at in rows:
            batch.digests[at] = batch.todo[at].digest if at in arrived else HOLE
        batch.sent = True
        self._keep(batch, {}, there, sent=True)

    def verify(self) -> None:
        """Look whether the file is what it was."""
        if self.plan.is_file:
            self.upload.disk.verify(self.plan.entry)

    def found(self, batch: Batch) -> frozenset[str]:
        """Return which of the RIDs of *batch* are rows: nobody knows whether they arrived."""
        rids = [rid for rid in batch.rids if rid]
        rows = self.patience(
            f"GET {self.plan.table}", lambda: self.catalog.rows_with(self.plan.table, "RID", rids)
        )
        return frozenset(row["RID"] for row in rows)

    def _twins(
        self, batch: Batch, rows: dict[int, Row], keys: dict[int, frozenset[str] | None]
    ) -> dict[int, int]:
        """Return rows that say what an earlier one says; one with its key alone is a fault."""
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
        """Return how many values each column has: the key is looked up by its most telling one."""
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
        """Give each row a RID that it keeps, whatever happens."""
        names = {at: self._lease_name(batch, at) for at in keyless if batch.rids[at] is None}
        if names and not self.upload.vouched(self.plan.entry):
            rid = self.upload.execution.rid
            raise RefusedError(
                f"cannot upload {self.plan.path}",
                "it is older than the journal, and its rows have no key by which one could tell "
                "whether they are in already",
                f"Look into {self.plan.table}. If none of them is there: "
                f"`deriva-watch retry {rid}`. If some are, take these out of the file before.",
            )
        if names:
            wanted = list(names.values())
            leased = self.writer.run(
                lambda: self.patience("POST leases", lambda: self.catalog.lease(wanted))
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
        """Write down where a batch stands."""
        digests = [on_the_way.get(at, digest) for at, digest in enumerate(batch.digests)]
        number = self.upload.records[self.plan.path].id
        rids = batch.rids if any(batch.rids) else None
        kept = BatchRecord(number, batch.first, b"".join(digests), rids, sent)
        count = there + sum(digest != HOLE for digest in batch.digests)
        self.upload.journal.commit([KeepBatch(kept), NoteFile(number, {"rows": count})])

    # ------------------------------------------------------------------ what became of it

    def _is_in(self, row: RawRow, item: Insertion, written: Written) -> bool:
        """Tell whether a row is in the catalog as it is written; count it if not."""
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
        """Say why a row was left out although none has its key."""
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
        table = self.plan.table
        return self.patience(f"GET {table}", lambda: self.catalog.rows_where(table, wanted))


def _shown(values: Row, key: frozenset[str]) -> str:
    return ", ".join(f"{name} = {values[name]!r}" for name in sorted(key))
