"""Builds the parts of one catalog's uploads from the settings, and takes one execution through.

The daemon and the one-shot upload differ in when they call `process`, in nothing else.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import random
from shlex import quote
from typing import Any, Final

from deriva_watch.core.completeness.observation import ROWS_NAME, Kind, Observation
from deriva_watch.core.errors import (
    CredentialError,
    FileChangedError,
    InterruptedWorkError,
    JournalDamagedError,
    RefusedError,
    ServerAwayError,
    ServerBusyError,
    ShortageError,
    TransientError,
    TroubleError,
    UnusableSpecError,
)
from deriva_watch.core.events import Emit, TaskCrashed
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.os_errors import passing
from deriva_watch.core.plan.plan import Plan
from deriva_watch.core.plan.reconcile import additions, moves, unremoved
from deriva_watch.core.records import (
    DropDigests,
    ExecutionFacts,
    ExecutionRecord,
    FileRecord,
    MoveExecution,
)
from deriva_watch.core.retry import Reach, RetryPolicy, came_further, reach, wait_after_s
from deriva_watch.core.states import ExecutionTrigger, FileState
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.call_retry import elapsed_since
from deriva_watch.engine.ports import Catalog
from deriva_watch.engine.rows.executions import Executions
from deriva_watch.engine.server_check import ServerCheck
from deriva_watch.engine.unit_upload import Upload
from deriva_watch.engine.uploader import Uploader
from deriva_watch.pipeline.finalize import Finalizer
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.input_fingerprint import InputFingerprint
from deriva_watch.pipeline.prior_rows import not_loaded_before
from deriva_watch.pipeline.unit_reader import Intake
from deriva_watch.settings.model import Settings

_WITH_EXECUTION: Final = {"batch", "directory"}  # units of drop folders
_BROUGHT: Final = {
    FileState.RECORDED,
    FileState.LINKED,
    FileState.ELSEWHERE,
    FileState.REMOVED,
}
SPEC_S: Final = 15.0  # how long until it is seen whether the bulk spec is mended
SHORT_S: Final = 5.0  # how long an execution waits for what this machine lacks
AWAY_S: Final = 1.0  # how long an execution waits at least; the gate holds it back for longer


Closing = TransientError | CredentialError  # it stands in the way of all executions


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where one attempt left an execution, and the error that concerns more than this one."""

    record: ExecutionRecord
    error: Closing | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything that one catalog's uploads need.

    Attributes:
        probe: Asks the server something cheap of every service; raises as every call does.
        holds: What a person holds back.
        server_check: Asks whether the server still holds what was uploaded.
        server_time: Asks what the server's clock says; None: it does not tell.
    """

    settings: Settings
    journal: Journal
    catalog: Catalog
    uploader: Uploader
    intake: Intake
    executions: Executions
    finalizer: Finalizer
    emit: Emit
    fingerprint: InputFingerprint
    probe: Callable[[], object]
    holds: HoldCache
    server_check: ServerCheck
    server_time: Callable[[], datetime | None] = lambda: None

    @property
    def server(self) -> str:
        """The "host/catalog" that executions are kept under."""
        return self.finalizer.server

    def process(self, record: ExecutionRecord) -> Outcome:
        """Take a claimed execution as far as it goes, and write down where that is."""
        start_s, basis = time.monotonic(), None
        begun = self._reached(record) if record.attempts else {}
        self.holds.reload()
        try:
            basis = self.fingerprint.current()
            step = self._attempt(record)
        except InterruptedWorkError:
            step = _Step(ExecutionTrigger.INTERRUPTED)
        except FileChangedError:
            step = _Step(ExecutionTrigger.CHANGED, {"digest": None})
        except UnusableSpecError as error:
            # No fault of this execution either; once it is mended, work goes on by itself.
            step = _Step(ExecutionTrigger.DEFERRED, _waiting(record.rid, error, SPEC_S))
        except RefusedError as error:
            step = _Step(ExecutionTrigger.REJECTED, _sentence(record.rid, error))
        except (ServerAwayError, CredentialError) as error:
            step = _stopped(record.rid, error)
        except TransientError as error:
            step = self._deferred(self._since(record, begun), error)
        except JournalDamagedError:
            raise  # nothing more can be written down
        except Exception as error:  # noqa: BLE001  # a bug of ours must not take the others along
            step = self._unforeseen(record, error)
        if step.rests:
            step.facts["basis"] = basis
        step.report["seconds"] = elapsed_since(start_s)
        self.journal.commit([MoveExecution(record.id, step.trigger, step.facts, step.report)])
        return Outcome(self.journal.execution(record.id), step.stops_all)

    def sweep(self) -> None:
        """Complete what directories left that are gone; raises as every call does.

        Upload jobs that nobody will go on with are cancelled, and rows are linked that were made.
        Nothing is begun while all work is paused.
        """
        if self.holds.pause:
            return
        self.uploader.rows.jobs.sweep(self.journal.left_jobs(self.server))
        for number, paths in self.journal.unlinked(self.server).items():
            record, model = self.journal.execution(number), self.catalog.model()
            upload = self._upload(record, model, self._records(record))
            self.uploader.rows.link(upload, paths)

    def _attempt(self, record: ExecutionRecord) -> "_Step":
        unit = self.settings.unit_of(record)
        seen = self.intake.look(unit)
        if seen is None and not self.intake.is_away(unit):
            return _Step(ExecutionTrigger.REMOVED)
        if seen is None or seen.digest() != record.digest:
            raise FileChangedError(record.rid)
        model = self.catalog.model()
        plan = self.intake.plan(unit, seen, model, self.catalog)
        upload = self._begin(record, plan, model)
        upload.halt = partial(self.holds.raise_if_held, record.id, record.rid)
        upload.halt(None)
        drop = unit.drop if record.unit in _WITH_EXECUTION else None
        if drop and plan.work:
            before = self.finalizer.execution_before(record) if self.journal.set_aside() else None
            self.executions.begin(upload, drop, before)
        self.uploader.run(upload)
        if upload.ahead:  # used: what is tried again after a refusal is read again
            self.journal.commit([DropDigests(record.id)])
        refusal = _refusal(upload, plan, seen)
        whole = not (refusal or upload.changed or upload.transient)
        if drop and whole:
            self.executions.end(upload)
        digest = self.finalizer.finish(upload, seen, plan, whole=whole)
        facts: ExecutionFacts = {"digest": digest, "attempts": 0, "next_at": None}
        return self._end(upload, facts, refusal)

    def _begin(self, record: ExecutionRecord, plan: Plan, model: CatalogModel) -> Upload:
        """Bring the journal to where the plan begins."""
        known = self._records(record)
        plan = unremoved(plan, known)
        if fresh := additions(record.id, plan, known):
            self.journal.commit(fresh)
            known = self._records(record)
        if changes := moves(plan, known, record.rid):
            self.journal.commit(changes)
            known = self._records(record)
        upload = self._upload(record, model, known)
        upload.assets |= {asset.path: asset for asset in plan.assets}
        upload.ahead = {known.stamp: known for known in self.journal.digests(record.id)}
        upload.rows |= {each.path: each for each in plan.rows}
        for about, why in plan.notices.items():
            upload.notice(about, why)
        return upload

    def _records(self, record: ExecutionRecord) -> dict[str, FileRecord]:
        return {file.path: file for file in self.journal.files(record.id)}

    def _upload(
        self, record: ExecutionRecord, model: CatalogModel, known: dict[str, FileRecord]
    ) -> Upload:
        """Return the work on what the journal has of an execution, without any plan."""
        disk = self.intake.directory(self.settings.unit_of(record))
        upload = Upload(
            execution=record,
            disk=disk,
            model=model,
            journal=self.journal,
            emit=self.emit,
            assets={},
            records=known,
            vouched=not_loaded_before(self.journal, record, disk.root),
        )
        kept = self.finalizer.row_receipt(record)
        upload.hinted = lambda path: kept.read(path, partial(upload.notice, ROWS_NAME))
        return upload

    def _end(self, upload: Upload, facts: ExecutionFacts, refusal: RefusedError | None) -> "_Step":
        """Say where the attempt left the execution; raises what may pass of its files' errors."""
        record = upload.execution
        size_bytes = sum(each.entry.size_bytes for each in upload.planned())
        report = {"files": upload.tally(), "size_bytes": size_bytes, "notices": upload.notices}
        if upload.changed:
            return _Step(ExecutionTrigger.CHANGED, {**facts, "digest": None}, report)
        if upload.transient:
            raise upload.transient
        if refusal:
            said = _sentence(record.rid, refusal)
            return _Step(ExecutionTrigger.REJECTED, {**facts, **said}, report)
        return _Step(ExecutionTrigger.FINISHED, facts, report)

    def _reached(self, record: ExecutionRecord) -> dict[int, Reach]:
        return {file.id: reach(file) for file in self.journal.files(record.id)}

    def _since(self, record: ExecutionRecord, begun: dict[int, Reach]) -> ExecutionRecord:
        """Return *record* without its failed attempts where this one came further than *begun*."""
        further = record.attempts > 0 and came_further(begun, self._reached(record))
        return replace(record, attempts=0) if further else record

    def _deferred(self, record: ExecutionRecord, error: TransientError) -> "_Step":
        """Say that it is tried again; no attempt is counted where the server is ill for all."""
        if isinstance(error, ShortageError):
            return _Step(ExecutionTrigger.DEFERRED, _waiting(record.rid, error, SHORT_S))
        if isinstance(error, ServerBusyError):
            try:
                self.probe()
            except (TransientError, CredentialError) as ill:
                return _stopped(record.rid, ill)
            except RefusedError:
                pass  # it answers
        return self._counted(record, error)

    def _unforeseen(self, record: ExecutionRecord, error: Exception) -> "_Step":
        what = f"cannot upload {record.called} now"
        trouble = passing(what, error)
        return self._deferred(record, trouble) if trouble else self._crashed(record, error)

    def _crashed(self, record: ExecutionRecord, error: Exception) -> "_Step":
        text = traceback.format_exc()
        where = f"upload of {record.called}"
        self.emit(TaskCrashed(where=where, why=repr(error), traceback=text))
        why = f"a bug of deriva-watch: {error!r}"
        return self._counted(record, TransientError(f"the {where} failed", why))

    def _counted(self, record: ExecutionRecord, error: TransientError) -> "_Step":
        retry, attempts = self.settings.retry, record.attempts + 1
        policy = RetryPolicy(retry.initial_s, retry.max_s, retry.max_attempts)
        wait_s = wait_after_s(attempts, policy, random(), error.retry_after_s)  # noqa: S311
        if wait_s is not None:
            return _Step(
                ExecutionTrigger.DEFERRED,
                {**_waiting(record.rid, error, wait_s), "attempts": attempts},
            )
        why = f"gave up after {record.attempts} attempts: {error.why}"
        then = f"When its cause is mended: `deriva-watch retry {quote(record.rid)}`."
        refusal = RefusedError(error.what, why, then)
        return _Step(ExecutionTrigger.REJECTED, _sentence(record.rid, refusal))


@dataclass(frozen=True, slots=True)
class _Step:
    """How an attempt ended."""

    trigger: ExecutionTrigger
    facts: ExecutionFacts = field(default_factory=ExecutionFacts)
    report: dict[str, Any] = field(default_factory=dict)
    stops_all: Closing | None = None

    @property
    def rests(self) -> bool:
        """Tell whether only a change of spec, model, settings or credential can help."""
        left_out = self.trigger is ExecutionTrigger.FINISHED and (
            FileState.UNMATCHED.value in self.report.get("files", {})
        )
        return left_out or self.trigger is ExecutionTrigger.REJECTED


def _stopped(rid: str, error: Closing) -> _Step:
    """Return how an attempt ends that all executions would end with: it is not counted."""
    return _Step(ExecutionTrigger.DEFERRED, _waiting(rid, error, AWAY_S), stops_all=error)


def _sentence(rid: str, error: TroubleError) -> ExecutionFacts:
    return {"what": error.what, "why": error.why, "next": error.next_for(rid)}


def _waiting(rid: str, error: TroubleError, wait_s: float) -> ExecutionFacts:
    next_at = datetime.now(UTC) + timedelta(seconds=wait_s)
    return {**_sentence(rid, error), "next_at": next_at}


def _refusal(upload: Upload, plan: Plan, seen: Observation) -> RefusedError | None:
    """Return why a person must look at the execution, or None."""
    files = upload.records.values()
    called, name = upload.execution.called, quote(upload.execution.rid)
    refused = [record for record in files if record.state is FileState.REFUSED]
    unmatched = [record for record in files if record.state is FileState.UNMATCHED]
    if refused:
        first = min(refused, key=lambda record: record.path)
        return RefusedError(
            what=f"{len(refused)} of {len(files)} files of {called} are refused",
            why=f"{first.path}: {first.why}",
            next=f"{first.next} `deriva-watch show {name}` lists them all.",
        )
    what = f"nothing of {called} is uploaded"
    if unmatched and not plan.work:
        return RefusedError(
            what=what,
            why=f"0 of {len(unmatched)} files matched a mapping of the bulk spec",
            next=f"`deriva-watch show {name}` tells for every file why not.",
        )
    brought = any(record.state in _BROUGHT for record in files)
    if not (plan.work or brought) and all(
        entry.kind is Kind.IGNORED for entry in seen.entries.values()
    ):
        return RefusedError(
            what=what,
            why=f"there are no files in {seen.root}",
            next="Write them; they are uploaded once they are complete.",
        )
    return None
