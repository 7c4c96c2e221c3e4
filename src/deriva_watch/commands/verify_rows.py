"""Verifies that the rows of an execution's files of rows are still in the catalog.

Rows that we gave a RID are looked up by it: the journal has the RIDs, and so has a file beside the
receipt. Every other row has a key that only its file contains, so the file is planned and read
again.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from deriva_watch.commands.verify_targets import VerifyTarget
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import (
    FileChangedError,
    RefusedError,
    ServerAwayError,
    ServerBusyError,
    TransientError,
)
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.rows.ledger import HOLE, Batch
from deriva_watch.core.rows.table_files import TableFileError
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk.own_files import Beside
from deriva_watch.edges.disk.row_receipt import RowReceipt
from deriva_watch.edges.journal import Reader
from deriva_watch.engine.rows.keyed_rows import KeyedRows
from deriva_watch.engine.server_check import ServerCheck
from deriva_watch.engine.unit_upload import UnitUpload
from deriva_watch.pipeline.receipt_schema import Receipt
from deriva_watch.pipeline.unit_planner import UnitPlanner

_BATCHES: Final = 8


class Asked(NamedTuple):
    """The differences, and how many rows could not be looked up."""

    differences: list[str]
    unasked: int = 0


@dataclass(slots=True)
class RowVerifier:
    """Looks up the rows of one execution.

    Attributes:
        unit: The unit, if it is known where it is.
        seen: Its directory as it is now; None: it is not here, or must not be read.
    """

    planner: UnitPlanner
    reader: Reader | None
    server: str
    model: CatalogModel
    server_check: ServerCheck
    target: VerifyTarget
    unit: Unit | None
    seen: Observation | None
    _upload: UnitUpload | None = None

    def ask(self, file: FileRecord) -> Asked:
        """Look up all rows of a file of rows."""
        table, missing, asked = TableName.parse(file.table or ""), 0, 0
        if table not in self.model.tables:
            return Asked([f"there is no longer a table {table}"])
        for rids in self._rids(file):
            missing += len(rids - self.server_check.rows(table, rids).keys())
            asked += len(rids)
        found = [f"{missing} of its rows are not in {table} any more"] if missing else []
        unasked = max(0, (file.rows or 0) - asked)
        keyed = self._keyed(file) if unasked else []
        return Asked(found, unasked) if keyed is None else Asked(found + keyed)

    # ------------------------------------------------------------------ rows with a RID

    def _rids(self, file: FileRecord) -> Iterator[set[str]]:
        """Yield the RIDs that we gave the rows of a file, one batch at a time."""
        batches: Iterator[Batch] = iter(())
        if self.target.record and self.reader:
            batches = self._batches(self.reader, file)
        elif self.target.receipt:
            batches = self._kept(self.target.receipt).read(file.path, lambda _why: None)
        for batch in batches:
            pairs = zip(batch.rids, batch.digests, strict=True)
            yield {rid for rid, digest in pairs if rid and digest != HOLE}

    def _kept(self, receipt: Receipt) -> RowReceipt:
        reader, unit = self.planner.unit_reader, self.unit
        beside = Beside(Path(receipt.directory), _nowhere)
        if unit:
            directory = reader.directory(unit)
            beside = Beside(beside.root, directory.opened, directory.trusted)
        folder = reader.settings.state_directory
        return RowReceipt.of(folder, self.server, self.target.kept_as, beside)

    def _batches(self, reader: Reader, file: FileRecord) -> Iterator[Batch]:
        first = 0
        while batches := reader.batches(file.id, first, _BATCHES):
            yield from map(Batch.of, batches)
            first = batches[-1].first + 1

    # ------------------------------------------------------------------ rows with a key

    def _keyed(self, file: FileRecord) -> list[str] | None:
        """Return how the rows differ; None: the local files cannot show it."""
        record, seen, reader = self.target.record, self.seen, self.reader
        if record is None or seen is None or reader is None:
            return None
        try:
            upload = self._upload = self._upload or self._begun(record, seen, reader)
            plan = upload.rows.get(file.path)
            if plan is None or (plan.is_file and plan.entry.stamp != file.stamp):
                return None
            rows = KeyedRows(self.server_check.catalog, self.server_check.call_retry)
            return list(rows.differences(upload, file.path))
        except (ServerAwayError, ServerBusyError):
            raise
        except (RefusedError, TransientError, FileChangedError, TableFileError, OSError):
            return None

    def _begun(self, record: ExecutionRecord, seen: Observation, reader: Reader) -> UnitUpload:
        """Return an upload that is never run."""
        unit = self.planner.unit_reader.settings.unit_of(record)
        plan = self.planner.plan(unit, seen, self.model, self.server_check.catalog)
        return UnitUpload(
            execution=record,
            disk=self.planner.unit_reader.directory(unit),
            model=self.model,
            journal=reader,  # type: ignore[arg-type]  # nothing is written
            emit=lambda _event: None,
            assets={asset.path: asset for asset in plan.assets},
            records={file.path: file for file in self.target.files},
            rows={each.path: each for each in plan.rows},
        )


@contextmanager
def _nowhere() -> Iterator[int]:
    """Stand in for the folder of a unit whose place is not known."""
    raise FileNotFoundError(errno.ENOENT, "it is not known where the unit is")
    yield -1
