"""One attempt at one unit: from what is on the disk to receipt and status.

The daemon and the one-shot upload differ in when they call `process`, in nothing else.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from deriva_watch.core.changes import DropDigests, MoveExecution
from deriva_watch.core.errors import FileChangedError, TransientError
from deriva_watch.core.events import Emit
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.plan.plan import Plan
from deriva_watch.core.plan.reconcile import additions, moves, still_in_catalog, unremoved
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord, FileRecord
from deriva_watch.core.retry import Progress, has_progressed, progress
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.call_retry import elapsed_since
from deriva_watch.engine.ports import Catalog
from deriva_watch.engine.rows.executions import Executions
from deriva_watch.engine.unit_upload import UnitUpload
from deriva_watch.engine.uploader import Uploader
from deriva_watch.pipeline.attempt_end import FailedAttempts, Step, StopsAll, refusal, refused
from deriva_watch.pipeline.finalize import Finalizer
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.input_fingerprint import InputFingerprint
from deriva_watch.pipeline.prior_executions import PriorExecutions
from deriva_watch.pipeline.prior_rows import not_loaded_before
from deriva_watch.pipeline.unit_planner import Planner
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings

_WITH_EXECUTION: Final = {"batch", "directory"}  # units of drop folders


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt at an execution, and any error that concerns others too."""

    record: ExecutionRecord
    error: StopsAll | None = None


@dataclass(frozen=True, slots=True)
class Attempts:
    """Makes attempts at claimed units. One instance serves all units, from many threads.

    Attributes:
        plan: Plans the units.
        failed: Decides what follows from an error.
        server: The "host/catalog" that executions are kept under.
    """

    settings: Settings
    journal: Journal
    catalog: Catalog
    uploader: Uploader
    unit_reader: UnitReader
    plan: Planner
    executions: Executions
    prior: PriorExecutions
    finalizer: Finalizer
    fingerprint: InputFingerprint
    holds: HoldCache
    failed: FailedAttempts
    emit: Emit
    server: str

    def process(self, record: ExecutionRecord) -> Outcome:
        """Upload a claimed execution as far as possible, and store the result.

        Raises JournalDamagedError: the result cannot be stored.
        """
        start_s, inputs = time.monotonic(), None
        begun = self._reached(record) if record.attempts else {}
        self.holds.reload()
        try:
            model = self.catalog.model()
            inputs = self.fingerprint.of(model)
            step = self._attempt(record, model)
        except Exception as error:  # noqa: BLE001  # one unit must not take the others along
            if isinstance(error, TransientError):
                record = self._since(record, begun)
            step = self.failed.step(record, error)
        if step.depends_on_inputs:
            step.facts["basis"] = inputs
        step.report["seconds"] = elapsed_since(start_s)
        self.journal.commit([MoveExecution(record.id, step.trigger, step.facts, step.report)])
        return Outcome(self.journal.execution(record.id), step.stops_all)

    def sweep(self) -> None:
        """Finish the open work of deleted units: cancel jobs, link rows.

        Does nothing while all work is paused. Raises the errors of `engine.ports`.
        """
        if self.holds.pause:
            return
        self.uploader.rows.jobs.sweep(self.journal.abandoned_jobs(self.server))
        for number, paths in self.journal.unlinked(self.server).items():
            record, model = self.journal.execution(number), self.catalog.model()
            upload = self._upload(record, model, self._records(record))
            self.uploader.rows.link(upload, paths)

    def _attempt(self, record: ExecutionRecord, model: CatalogModel) -> Step:
        unit = self.settings.unit_of(record)
        seen = self.unit_reader.look(unit)
        if seen is None and not self.unit_reader.is_away(unit):
            return Step(ExecutionTrigger.REMOVED)
        if seen is None or seen.digest() != record.digest:
            raise FileChangedError(record.rid)
        plan = self.plan(unit, seen, model, self.catalog)
        upload = self._begin(record, plan, model)
        upload.halt(None)
        drop = unit.drop if record.unit in _WITH_EXECUTION else None
        if drop and plan.work:
            self.executions.begin(upload, drop, self.prior.of(upload, seen))
        self.uploader.run(upload)
        if upload.ahead:  # used: after a refusal the file is read again
            self.journal.commit([DropDigests(record.id)])
        why_refused = refusal(upload, plan, seen)
        whole = not (why_refused or upload.changed or upload.transient)
        if drop and whole:
            self.executions.end(upload)
        digest = self.finalizer.finish(upload, seen, plan, whole=whole)
        facts: ExecutionFacts = {"digest": digest, "attempts": 0, "next_at": None}
        size_bytes = sum(each.entry.size_bytes for each in upload.planned())
        report = {"files": upload.tally(), "size_bytes": size_bytes, "notices": upload.notices}
        if upload.changed:
            return Step(ExecutionTrigger.CHANGED, {**facts, "digest": None}, report)
        if upload.transient:
            raise upload.transient
        if why_refused:
            facts |= refused(record.rid, why_refused).facts
            return Step(ExecutionTrigger.REFUSED, facts, report)
        return Step(ExecutionTrigger.FINISHED, facts, report)

    def _begin(self, record: ExecutionRecord, plan: Plan, model: CatalogModel) -> UnitUpload:
        """Move the files in the journal to the states that the plan starts from."""
        known = self._records(record)
        plan = still_in_catalog(unremoved(plan, known), known)
        if fresh := additions(record.id, plan, known):
            self.journal.commit(fresh)
            known = self._records(record)
        if changes := moves(plan, known, record.rid, requested=record.is_requested):
            self.journal.commit(changes)
            known = self._records(record)
        upload = replace(
            self._upload(record, model, known),
            assets={asset.path: asset for asset in plan.assets},
            rows={each.path: each for each in plan.rows},
            ahead={each.stamp: each for each in self.journal.digests(record.id)},
            halt=partial(self.holds.raise_if_held, record.id, record.rid),
        )
        for about, why in plan.notices.items():
            upload.notice(about, why)
        return upload

    def _records(self, record: ExecutionRecord) -> dict[str, FileRecord]:
        return {file.path: file for file in self.journal.files(record.id)}

    def _upload(
        self, record: ExecutionRecord, model: CatalogModel, known: dict[str, FileRecord]
    ) -> UnitUpload:
        """Return an upload of the files that the journal has of an execution, without a plan."""
        disk = self.unit_reader.directory(self.settings.unit_of(record))
        return UnitUpload(
            execution=record,
            disk=disk,
            model=model,
            journal=self.journal,
            emit=self.emit,
            assets={},
            records=known,
            surely_new=not_loaded_before(self.journal, record, disk.root),
            row_receipt=self.finalizer.row_receipt(record),
        )

    def _reached(self, record: ExecutionRecord) -> dict[int, Progress]:
        return {file.id: progress(file) for file in self.journal.files(record.id)}

    def _since(self, record: ExecutionRecord, begun: dict[int, Progress]) -> ExecutionRecord:
        """Return *record* with attempts reset to 0 if this attempt made progress since *begun*."""
        self.journal.commit([])  # what was noted and is not durable yet is progress too
        further = record.attempts > 0 and has_progressed(begun, self._reached(record))
        return replace(record, attempts=0) if further else record
