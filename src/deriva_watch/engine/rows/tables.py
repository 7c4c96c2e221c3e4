"""Uploads files of rows: read once for each attempt, sent in batches, each one journaled.

The journal's batches of a file show which of its rows are in the catalog; `core.rows.ledger`
compares them. While one batch is sent, the next ones are read: memory holds three.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import BinaryIO, Final, NamedTuple

from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.records import FileFacts
from deriva_watch.core.rows.ledger import HOLE, Batch, ChangedRowError, Rows, Written, compare
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.rows.table_files import TableFileError
from deriva_watch.core.states import FileTrigger
from deriva_watch.engine.call_retry import CallRetry, elapsed_since
from deriva_watch.engine.content import digests
from deriva_watch.engine.files.files import Watch
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.engine.rows.insertion import BATCH_BYTES, BATCH_ROWS
from deriva_watch.engine.rows.references import References
from deriva_watch.engine.rows.row_batches import Sender
from deriva_watch.engine.rows.row_source import columns_in, opened, rows_in
from deriva_watch.engine.rows.sending import Sending
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.engine.unit_upload import Move, UnitUpload

_AHEAD: Final = 1  # batches that are leased RIDs for, and that are sent, while the next one is read


@dataclass(frozen=True, slots=True)
class Tables:
    """Uploads files of rows to their tables; each method is a step of `Files.each`."""

    catalog: Catalog
    writer: CatalogWriter
    call_retry: CallRetry
    watch: Watch = lambda _path, _phase, _count: None

    def hash(self, upload: UnitUpload, path: str) -> Move:
        """Compute the digests of a file, so that the journal can record what was sent of it."""
        plan, start_s = upload.rows[path], time.monotonic()
        entry = plan.entry
        facts: FileFacts = {
            "table": str(plan.table),
            "statement": plan.statement(),
            "size_bytes": entry.size_bytes,
            "mtime_ns": entry.mtime_ns,
            "device": entry.device,
            "inode": entry.inode,
            "ctime_ns": entry.ctime_ns,
        }
        if plan.is_file:
            found = upload.known_digests(entry)
            if found is None:
                with upload.disk.open(entry) as body:
                    found = digests(body, lambda count: self._moved(upload, path, count))
            upload.disk.verify(entry)
            if found.size_bytes != entry.size_bytes:
                raise FileChangedError(path)
            facts |= {"md5": found.md5, "sha256": found.sha256}
        return Move(path, FileTrigger.HASHED, facts, elapsed_since(start_s))

    def bring(self, upload: UnitUpload, path: str) -> Move:
        """Make sure that all rows of a file are in its table.

        Raises RefusedError with the first row that cannot be sent, and the number of such rows;
        the other rows are sent.
        """
        plan, start_s = upload.rows[path], time.monotonic()
        references = References(upload, self.catalog, self.call_retry)
        sender = Sender(upload, plan, self.catalog, self.writer, self.call_retry, references)
        with opened(upload.disk, plan) as body:
            run = _Run(self, upload, plan, body, sender)
            try:
                run.go()
            except TableFileError as error:
                sender.faults.add(error.place, error.why)
            except ChangedRowError as error:
                raise _changed(plan, error) from None
            if fault := sender.faults.first:
                earlier = run.earlier(fault.place, fault.name)
                raise sender.faults.refusal(path, earlier)
        sender.verify()
        return Move(path, FileTrigger.RECORDED, {"rows": run.there}, elapsed_since(start_s))

    def _moved(self, upload: UnitUpload, path: str, count: int) -> None:
        self.call_retry.check()
        upload.check(path)
        self.watch(path, "hash", count)


class _Flight(NamedTuple):
    """A batch that is being sent, and how much of the file had been read by then."""

    sending: Sending
    read_bytes: int


class _Run:
    """One attempt at one file."""

    def __init__(
        self, tables: Tables, upload: UnitUpload, plan: RowsPlan, body: BinaryIO, sender: Sender
    ) -> None:
        self._tables, self._upload, self._plan = tables, upload, plan
        self._body, self._sender = body, sender
        self._read_bytes = 0
        self._prepared: deque[_Flight] = deque()
        self._flights: deque[_Flight] = deque()
        self.there = 0  # rows in the catalog

    def go(self) -> None:
        """Send the missing rows until one cannot be sent; then only count."""
        given = columns_in(self._plan, self._body)
        self._plan.check_columns(given)
        if ignored := self._plan.ignored(given - {"RCT"} if self._plan.records else given):
            why = (
                f"the server fills {', '.join(ignored)} itself: the values in the file are ignored"
            )
            self._upload.notice(self._plan.path, why)
        rows = Rows(self._written())
        try:
            self._send_new(rows, self._send_known(rows))
            self._launch()
            self._land()
        finally:  # a later attempt must not meet rows of this one that arrive
            for flight in self._flights:
                flight.sending.end()
        while rows.next:  # how many more a person has to correct
            self._sender.refuse(rows.take().row)
        if rows.broken:
            raise rows.broken

    def _send_known(self, rows: Rows) -> int:
        """Send what is missing of known batches; return the number of the first unknown row."""
        first = 0
        for batch, following in self._known():
            compare(batch, rows, following)
            first = batch.first + len(batch.digests)
            self._send(batch, {})
            if self._sender.faults.first:
                break
        return first

    def _send_new(self, rows: Rows, first: int) -> None:
        """Send the other rows of the file as new batches, from row number *first* on."""
        while rows.next and not self._sender.faults.first:
            batch, ready = self._next(rows, first)
            if batch.digests:
                first += len(batch.digests)
                self._send(batch, ready)
            else:
                self._launch()
                self._land()  # what is wrong with earlier rows goes first
                self._sender.refuse(rows.take().row)

    def earlier(self, place: str, name: object) -> str | None:
        """Return the place of the first row with the key *name*, if that is not *place*."""
        if name is None:
            return None
        for row in rows_in(self._plan, self._body):
            if row.place == place:
                return None
            if self._sender.name(row) == name:
                return row.place
        return None

    def _written(self) -> Iterator[Written]:
        for row in rows_in(self._plan, self._body):
            yield Written(row, self._plan.digest(row))

    def _known(self) -> Iterator[tuple[Batch, bytes | None]]:
        """Yield the known batches, each with the digest of the row that follows it."""
        for batch, later in pairwise(chain(self._batches(), [None])):
            if batch is None:
                return
            following = later.digests if later else []
            yield batch, next((digest for digest in following if digest != HOLE), None)

    def _batches(self) -> Iterator[Batch]:
        """Yield the batches of the journal, then further ones of an earlier journal."""
        end = 0
        for batch in map(Batch.of, self._upload.batches(self._plan.path)):
            if not batch.sent:
                batch.settle(self._sender.found(batch))
            end = batch.first + len(batch.digests)
            yield batch
        for batch in self._upload.hinted(self._plan.path):
            if batch.first == end:
                batch.doubt(self._sender.found(batch))
                end += len(batch.digests)
                yield batch

    def _next(self, rows: Rows, first: int) -> tuple[Batch, dict[int, Row]]:
        """Return the next new rows as a batch, and their values; empty: the next cannot be sent."""
        batch, ready, size_bytes = Batch(first), dict[int, Row](), 0
        while rows.next and len(batch.digests) < BATCH_ROWS and size_bytes < BATCH_BYTES:
            values = self._sender.ready(rows.next.row)
            if values is None:
                break
            size_bytes += len(str(values))
            ready[len(batch.digests)] = values
            batch.append(rows.take())
        return batch, ready

    def _send(self, batch: Batch, ready: dict[int, Row]) -> None:
        """Have the missing rows of a batch sent, and finish an earlier one.

        While RIDs are leased for one batch the rows of the last one are sent, and the next one is
        read.
        """
        sending = self._sender.prepare(batch, ready)
        self._prepared.append(_Flight(sending, self._body.tell()))
        self._launch(_AHEAD if sending.keyless else 0)
        if sending.faults.first:  # no later row is sent
            self._launch()
            self._land()

    def _launch(self, most: int = 0) -> None:
        """Send batches in their order until at most *most* are prepared."""
        while len(self._prepared) > most:
            self._tables.call_retry.check()
            self._upload.check(self._plan.path)
            flight = self._prepared.popleft()
            sending = flight.sending
            if sending.keyless and not all(each.sending.is_kept for each in self._flights):
                self._land()  # the journal must have all that is before these
            if sending.batch.todo:
                self._sender.launch(sending)
            self._flights.append(flight)
            self._land(_AHEAD)

    def _land(self, most: int = 0) -> None:
        """Finish batches, and report the progress, until at most *most* are under way."""
        while len(self._flights) > most:
            sending, read_bytes = self._flights[0]
            if sending.batch.todo:
                self._sender.finish(sending, self.there)
            self._flights.popleft()
            self.there += sum(digest != HOLE for digest in sending.batch.digests)
            if self._plan.is_file:
                self._tables.watch(self._plan.path, "send", read_bytes - self._read_bytes)
                self._read_bytes = read_bytes


def _changed(plan: RowsPlan, error: ChangedRowError) -> RefusedError:
    where = error.place or "the end of the file"
    return RefusedError(
        f"cannot upload {plan.path}",
        f"{where}: this was a different row, which is in {plan.table} since an earlier upload",
        "Restore the uploaded rows in their order, and add new rows at the end. "
        "Correct rows that are in the catalog there.",
    )
