"""Sends batches of rows to a table without duplicates, despite crashes and lost answers.

A row with a unique key is found by its key. Any other row gets a leased RID, which is written to
the journal before it is used.
"""

import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from deriva_watch.core.changes import Change, KeepBatch, NoteFile
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
from deriva_watch.engine.rows.row_faults import Faults
from deriva_watch.engine.rows.sending import Sending, shown
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.engine.unit_upload import UnitUpload


@dataclass(slots=True)
class Sender:
    """Sends batches of one file: `prepare`, `launch` and `finish` each one, in this order.

    The next batch may be launched before the last one is finished. They are finished in order.
    """

    upload: UnitUpload
    plan: RowsPlan
    catalog: Catalog
    writer: CatalogWriter
    call_retry: CallRetry
    references: References
    faults: Faults = field(default_factory=Faults)
    _compared: set[bytes] = field(default_factory=set)  # digests of the rows asked for by values

    # ------------------------------------------------------------------ one row

    def ready(self, row: RawRow) -> Row | None:
        """Return the values of *row* to send, or None if it cannot be sent."""
        try:
            return self._values(row)
        except ValueError:
            return None

    def refuse(self, row: RawRow) -> None:
        """Count *row* if it cannot be sent."""
        self._values_or_fault(row, self.faults)

    def _values_or_fault(self, row: RawRow, faults: Faults) -> Row | None:
        try:
            return self._values(row)
        except ValueError as error:
            faults.add(row.place, str(error))
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
        return normal_key(sorted(key), self.plan.definition, values)

    # ------------------------------------------------------------------ one batch

    def prepare(self, batch: Batch, ready: Mapping[int, Row]) -> Sending:
        """Return the rows of *batch* that are not in the catalog; their RIDs are being leased.

        *ready* has the values of some rows, by position, as `ready` returned them.
        """
        faults = Faults()
        made = {
            at: ready[at] if at in ready else self._values_or_fault(written.row, faults)
            for at, written in batch.todo.items()
        }
        rows = {at: values for at, values in made.items() if values is not None}
        self.references.respell(self.plan, list(rows.values()))
        for at in made.keys() - rows.keys():
            if batch.rids[at] is None:  # only a hint said that it is in the catalog
                batch.digests[at] = HOLE
        sending = Sending(self.plan, batch, rows, faults)
        self._ask_rids(sending)
        return sending

    def launch(self, sending: Sending) -> None:
        """Have a batch sent. The journal has the leased RIDs before.

        The journal knows batches by their order in the file: all earlier ones must be in it before
        one with leased RIDs.
        """
        self.verify()
        batch = sending.batch
        if keyless := sending.keyless:
            sending.take_rids()
            on_the_way = {at: batch.todo[at].digest for at in keyless}
            self._keep(batch, on_the_way, sent=False)
            sending.is_kept = True
        sending.items = sending.insertions()
        sending.answer = self.writer.submit(list(sending.items.values()))

    def finish(self, sending: Sending, there: int) -> None:
        """Wait until a batch is sent, and write to the journal which of its rows arrived.

        Args:
            sending: Afterwards the digests of its batch are those of the rows in the catalog.
            there: How many earlier rows of the file are in the catalog.
        """
        answers = sending.answers()
        batch, items, twins = sending.batch, sending.items, sending.twins
        told = dict(zip(items, answers, strict=True))
        arrived = sending.claimed | {
            at
            for at, written in told.items()
            if self._is_in(batch.todo[at].row, items[at], written, sending.faults)
        }
        arrived |= {at for at, first in twins.items() if first in arrived}
        self._compare([at for at in sending.keyless if at in arrived], sending)
        for at in sending.rows:
            batch.digests[at] = batch.todo[at].digest if at in arrived else HOLE
        batch.sent = True
        self.faults.take(sending.faults)
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

    def _ask_rids(self, sending: Sending) -> None:
        """Have a permanent RID leased for each row without a key."""
        batch = sending.batch
        names = self._lease_names(batch, [at for at in sending.keyless if not batch.rids[at]])
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
            sending.names = names
            sending.leased = self.writer.start(
                lambda: self.call_retry("POST leases", lambda: self.catalog.lease(wanted))
            )

    def _lease_names(self, batch: Batch, places: Iterable[int]) -> dict[int, str]:
        """Return the names under which RIDs are leased: the same ones in every attempt."""
        unit = self.upload.execution
        said = json.dumps([unit.server, unit.prefix, unit.rid, self.plan.path])[:-1]
        names = {}
        for at in places:
            row = f'{said}, {batch.first + at}, "{batch.todo[at].digest.hex()}"]'
            names[at] = "deriva-watch:" + hashlib.sha256(row.encode()).hexdigest()
        return names

    def _keep(
        self, batch: Batch, on_the_way: Mapping[int, bytes], there: int | None = None, *, sent: bool
    ) -> None:
        """Write the progress of a batch to the journal, and the number of rows that are *there*."""
        digests = [on_the_way.get(at, digest) for at, digest in enumerate(batch.digests)]
        number = self.upload.records[self.plan.path].id
        rids = batch.rids if any(batch.rids) else None
        changes: list[Change] = [
            KeepBatch(BatchRecord(number, batch.first, b"".join(digests), rids, sent))
        ]
        if there is not None:
            count = there + sum(digest != HOLE for digest in batch.digests)
            changes.append(NoteFile(number, {"rows": count}))
        self.upload.journal.commit(changes)

    # ------------------------------------------------------------------ results

    def _compare(self, arrived: Sequence[int], sending: Sending) -> None:
        """Look whether another uploader has made the same rows; one of each batch is enough.

        Equal rows are asked for once, so that a file of equal rows does not ask for all of its own
        rows again and again.
        """
        batch = sending.batch
        new = (at for at in arrived if batch.todo[at].digest not in self._compared)
        if (at := next(new, None)) is not None:
            self._compared.add(batch.todo[at].digest)
            sent = Sent(batch.todo[at].row.place, str(batch.rids[at]), sending.rows[at])
            note_duplicates(self.upload, self.plan, sent, self._rows_where)

    def _is_in(self, row: RawRow, item: Insertion, written: Written, faults: Faults) -> bool:
        """Return whether a row is in the catalog as in the file; count it as a fault if not."""
        if written.error:
            faults.add(row.place, written.error.why, next=written.error.next)
            return False
        if written.inserted:
            return True
        if written.row is None:
            faults.add(row.place, self._hidden(item.row))
            return False
        odd = contradictions(self.plan.definition, item.row, written.row)
        if odd:
            said = "; ".join(f"{c} = {written.row.get(c)!r}, not {item.row[c]!r}" for c in odd)
            why = f"row {written.row['RID']} of {self.plan.table} has the same key and says {said}"
            key = sorted(item.key)
            name = None if item.given_rid else normal_key(key, self.plan.definition, item.row)
            faults.add(row.place, why, name=name)
        return not odd

    def _hidden(self, values: Row) -> str:
        """Return why a row was not inserted although no visible row has its key."""
        for key in self.plan.definition.keys:
            wanted = {name: values.get(name) for name in sorted(key - SYSTEM_COLUMNS)}
            if not wanted or None in wanted.values():
                continue
            if rows := self._rows_where(wanted):
                return f"row {rows[0]['RID']} of {self.plan.table} has {shown(values, key)} already"
        return "a row with its key exists but is not visible to this identity"

    def _rows_where(self, wanted: Row) -> list[Row]:
        """Return some rows with the values *wanted*: more than one batch can have."""
        table = self.plan.table
        return self.call_retry(
            f"GET {table}", lambda: self.catalog.rows_where(table, wanted, BATCH_ROWS + 1)
        )
