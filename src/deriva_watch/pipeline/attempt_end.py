"""How an attempt at one unit ends: the state it moves to, and when it is tried again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import random
from shlex import quote
from typing import Any, Final

from deriva_watch.core.completeness.observation import Kind, Observation
from deriva_watch.core.error_effects import Effect, classify
from deriva_watch.core.errors import (
    CredentialError,
    RefusedError,
    ServerBusyError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.events import Emit
from deriva_watch.core.plan.plan import Plan
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord
from deriva_watch.core.retry import RetryPolicy, wait_after_s
from deriva_watch.core.states import ExecutionTrigger, FileState
from deriva_watch.engine.unit_upload import UnitUpload
from deriva_watch.pipeline.crash_report import report_crash

_IN_CATALOG: Final = {
    FileState.RECORDED,
    FileState.LINKED,
    FileState.ELSEWHERE,
    FileState.REMOVED,
}
SPEC_S: Final = 15.0  # how soon an attempt finds out that the bulk spec was corrected
_SHORTAGE_S: Final = 5.0  # the wait for what this machine lacks
_STOPPED_S: Final = 1.0  # the shortest wait; the circuit breaker holds the unit back for longer

StopsAll = TransientError | CredentialError


@dataclass(frozen=True, slots=True)
class Step:
    """How an attempt ended.

    Attributes:
        trigger: What moves the unit's state.
        facts: What the journal keeps with it.
        report: What the event says about the attempt.
        stops_all: The error that would stop every other unit too, or None.
    """

    trigger: ExecutionTrigger
    facts: ExecutionFacts = field(default_factory=ExecutionFacts)
    report: dict[str, Any] = field(default_factory=dict)
    stops_all: StopsAll | None = None

    @property
    def depends_on_inputs(self) -> bool:
        """Whether only a change of spec, model, settings or credential can improve the result."""
        left_out = self.trigger is ExecutionTrigger.FINISHED and (
            FileState.UNMATCHED.value in self.report.get("files", {})
        )
        return left_out or self.trigger is ExecutionTrigger.REFUSED


@dataclass(frozen=True, slots=True)
class FailedAttempts:
    """Decides what follows from the error that ended an attempt.

    Attributes:
        retry: How often and how soon a counted attempt is repeated.
        probe: Sends the server a cheap request. Raises the errors of `engine.ports`.
        emit: Where bugs are reported.
    """

    retry: RetryPolicy
    probe: Callable[[], object]
    emit: Emit

    def step(self, record: ExecutionRecord, error: Exception) -> Step:  # noqa: PLR0911  # one for each effect
        """Return the end of an attempt that raised *error*; call it while *error* is handled.

        Raises *error* if nothing can be stored any more.
        """
        effect, known = classify(error, f"cannot upload {record.label} now")
        match effect, known:
            case Effect.INTERRUPTED, _:
                return Step(ExecutionTrigger.INTERRUPTED)
            case Effect.CHANGED, _:
                return Step(ExecutionTrigger.CHANGED, {"digest": None})
            case Effect.REFUSE, TroubleError():
                return refused(record.rid, known)
            case Effect.WAIT, TroubleError():
                return _deferred(record.rid, known, _SHORTAGE_S)
            case Effect.WAIT_FOR_SPEC, TroubleError():
                return _deferred(record.rid, known, SPEC_S)
            case Effect.STOP_ALL, TransientError() | CredentialError():
                return _stopped(record.rid, known)
            case Effect.RETRY, TransientError():
                return self._counted(record, known)
            case Effect.RETRY_UNLESS_AWAY, ServerBusyError():
                return self._busy(record, known)
            case Effect.FATAL, _:
                raise error
        where = f"upload of {record.label}"
        report_crash(self.emit, where)
        why = f"a bug of deriva-watch: {error!r}"
        return self._counted(record, TransientError(f"the {where} failed", why))

    def _busy(self, record: ExecutionRecord, error: ServerBusyError) -> Step:
        """Count the attempt, unless the whole server is down."""
        try:
            self.probe()
        except (TransientError, CredentialError) as ill:
            return _stopped(record.rid, ill)
        except RefusedError:
            pass  # it answers
        return self._counted(record, error)

    def _counted(self, record: ExecutionRecord, error: TransientError) -> Step:
        attempts = record.attempts + 1
        wait_s = wait_after_s(attempts, self.retry, random(), error.retry_after_s)  # noqa: S311
        if wait_s is not None:
            step = _deferred(record.rid, error, wait_s)
            step.facts["attempts"] = attempts
            return step
        why = f"gave up after {record.attempts} attempts: {error.why}"
        then = f"Once the cause is fixed: `deriva-watch retry {quote(record.rid)}`."
        return refused(record.rid, RefusedError(error.what, why, then))


def refused(rid: str, error: TroubleError) -> Step:
    """Return the end of an attempt after which a person must act."""
    return Step(ExecutionTrigger.REFUSED, {**ExecutionFacts(), **error.sentence(rid)})


def _deferred(rid: str, error: TroubleError, wait_s: float) -> Step:
    next_at = datetime.now(UTC) + timedelta(seconds=wait_s)
    facts: ExecutionFacts = {**ExecutionFacts(), **error.sentence(rid), "next_at": next_at}
    return Step(ExecutionTrigger.DEFERRED, facts)


def _stopped(rid: str, error: StopsAll) -> Step:
    """Return the end that an attempt at any unit would have now: it is not counted."""
    deferred = _deferred(rid, error, _STOPPED_S)
    return Step(deferred.trigger, deferred.facts, stops_all=error)


def refusal(upload: UnitUpload, plan: Plan, seen: Observation) -> RefusedError | None:
    """Return why a person must look at a unit whose attempt came to its end, or None."""
    files = upload.records.values()
    called, name = upload.execution.label, quote(upload.execution.rid)
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
            next=f"`deriva-watch show {name}` shows the reason for every file.",
        )
    in_catalog = any(record.state in _IN_CATALOG for record in files)
    if not (plan.work or in_catalog) and all(
        entry.kind is Kind.IGNORED for entry in seen.entries.values()
    ):
        return RefusedError(
            what=what,
            why=f"there are no files in {seen.root}",
            next="Add files; they are uploaded once the directory is complete.",
        )
    return None
