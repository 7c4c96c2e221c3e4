"""Verifies uploaded units again while the daemon has nothing to upload, as `[verify]` says.

Only the server is asked, one call at a time, spread over the whole period; no disk can hold it up.
A verification that a person made counts too: its time is kept beside the receipt.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from deriva_watch.commands.verify import Verifier
from deriva_watch.commands.verify_targets import VerifyTarget, VerifyTargets
from deriva_watch.core.changes import NoteExecution
from deriva_watch.core.errors import (
    CredentialError,
    InterruptedWorkError,
    RefusedError,
    TransientError,
)
from deriva_watch.core.events import DifferenceFound, NoticeAdded, VerificationPassed
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord
from deriva_watch.core.removal.reverification import Pace, Proof, differences, sentence
from deriva_watch.core.removal.verification import Verified
from deriva_watch.core.states import AT_REST, SAFE, ExecutionState
from deriva_watch.edges.disk import receipts
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.read_back import ObjectReader
from deriva_watch.engine.server_check import ServerCheck
from deriva_watch.liveness import beat
from deriva_watch.pipeline.background import background
from deriva_watch.pipeline.build import Parts
from deriva_watch.pipeline.crash_report import report_crash
from deriva_watch.pipeline.unit_planner import UnitPlanner

PASS_S: Final = 60.0  # how often, at least, it is seen what is due
BUSY_S: Final = 1.0  # how often a verification that waits for uploads sees whether it may go on
AGAIN_S: Final = 3600.0  # how long until a unit is verified whose verification failed
_UPLOADING: Final = {ExecutionState.READY, ExecutionState.UPLOADING}


@dataclass(frozen=True, slots=True)
class _PacedCalls(CallRetry):
    """Waits before each call until it is its turn."""

    turn: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Wait; raise InterruptedWorkError if the work has to stop."""
        CallRetry.check(self)
        self.turn()


@dataclass(slots=True)
class Reverification:
    """The thread that verifies uploaded units.

    Attributes:
        parts: The parts of the catalog's uploads.
        stop: Ends the thread.
        pace: When a unit is due; None: only what a person verifies counts.
    """

    parts: Parts
    stop: threading.Event
    pace: Pace | None
    _thread: threading.Thread | None = None
    _ended_s: float = field(default_factory=time.monotonic)  # the last verification
    _pause_s: float = 0.0
    _later: dict[int, tuple[float, str]] = field(default_factory=dict)  # when again, and why

    @classmethod
    def of(cls, parts: Parts, stop: threading.Event) -> "Reverification":
        """Build it from the settings."""
        days = parts.settings.verify.every_days
        return cls(parts, stop, Pace(timedelta(days=days)) if days else None)

    # ------------------------------------------------------------------ the thread

    def start(self, guard: Callable[[Callable[[], None]], None]) -> None:
        """Start the thread; *guard* runs each piece of its work."""
        period_s = self.pace.period.total_seconds() if self.pace else PASS_S
        self._thread = background(
            "verification",
            partial(guard, self.tend),
            max(0.2, min(PASS_S, period_s / 10)),
            self.stop,
            partial(report_crash, self.parts.emit, "the verification of uploaded units"),
        )
        self._thread.start()

    def end(self, within_s: float) -> None:
        """Wait until the thread ends, for *within_s* at most; the stop event must be set."""
        if self._thread:
            self._thread.join(within_s)

    def tend(self) -> None:
        """Take over what people have verified, then verify the unit that is due."""
        journal = self.parts.journal
        for unit in journal.differing():
            self._take_over(unit)
        while (oldest := journal.oldest_proof()) and self._take_over(oldest):
            self._check_stop()
        if self.pace and not self._must_wait() and (due := self._due(self.pace)):
            self._verify(self.pace, due)

    def _check_stop(self) -> None:
        beat()
        if self.stop.is_set():
            raise InterruptedWorkError("stopping")

    # ------------------------------------------------------------------ when

    def _must_wait(self) -> bool:
        """Return whether uploads, a person or the server are in the way."""
        if self.parts.breaker.error is not None or self.parts.holds.pause:
            return True
        return not _UPLOADING.isdisjoint(self.parts.journal.execution_counts())

    def _turn(self) -> None:
        """Wait until the server may be asked again."""
        wait_s = self._pause_s
        while not self.stop.wait(wait_s):
            beat()
            if not self._must_wait():
                return
            wait_s = BUSY_S
        raise InterruptedWorkError("stopping")

    def _due(self, pace: Pace) -> ExecutionRecord | None:
        """Return the unit that is to be verified now, or None."""
        journal, server, now_s = self.parts.journal, self.parts.server, time.monotonic()
        later = {number for number, (at_s, _) in self._later.items() if at_s > now_s}
        first = journal.verified_first(server, later)
        units = [each for each in journal.differing() if each.server == server]
        units = [each for each in units if each.state in AT_REST and each.id not in later]
        now, idle = datetime.now(UTC), timedelta(seconds=now_s - self._ended_s)
        count = max(1, journal.count_uploaded())
        asked = [*([first] if first else []), *units]
        return next((each for each in asked if pace.is_due(each, now, idle, count)), None)

    # ------------------------------------------------------------------ one unit

    def _verify(self, pace: Pace, unit: ExecutionRecord) -> None:
        journal = self.parts.journal
        counts = journal.file_counts()
        self._pause_s = pace.pause_s(sum(counts.get(state, 0) for state in SAFE))
        self._put_off(unit, "")  # unless its verification ends
        files = tuple(journal.files(unit.id))
        target = VerifyTarget(unit.rid, receipts.kept_as(unit), unit, files, None)
        try:
            found = self._verifier().verify(target, server_only=True)
        except (TransientError, CredentialError, RefusedError) as error:
            self.parts.breaker.probe_soon()
            self._put_off(unit, str(error))
            return
        finally:
            self._ended_s = time.monotonic()
        del self._later[unit.id]
        now = journal.execution(unit.id)
        if (now.state, now.changed_at) == (unit.state, unit.changed_at):  # else it says nothing
            self._keep(unit, found)

    def _verifier(self) -> Verifier:
        """Return a verifier for the model as it is now."""
        parts = self.parts
        calls = _PacedCalls(parts.emit, parts.settings.server.host, self.stop, turn=self._turn)
        store = parts.server_check.store
        return Verifier(
            VerifyTargets(parts.unit_reader, parts.journal, parts.server),
            parts.catalog,
            calls("GET schema", parts.catalog.model),
            ServerCheck(parts.catalog, store, calls),
            UnitPlanner(parts.unit_reader, parts.specs),
            ObjectReader(store, calls),
            lambda _path, _bytes: None,
        )

    def _put_off(self, unit: ExecutionRecord, why: str) -> None:
        """Let other units go first; say so once for each reason."""
        _, said = self._later.get(unit.id, (0.0, ""))
        self._later[unit.id] = time.monotonic() + AGAIN_S, why or said
        if why not in {"", said}:
            told = NoticeAdded(execution=unit.rid, about="its verification was put off", why=why)
            self.parts.emit(told)

    def _keep(self, unit: ExecutionRecord, found: Verified) -> None:
        """Write down and report how a verification ended."""
        at, differ = found.at, differences(found)
        facts: ExecutionFacts = {"verified_at": at}
        if not differ:
            proof = {"by": Proof.SERVER.value, "unverified": len(found.notes)}
            self._note(unit, {**facts, "proved_at": at, "proof": proof, "differs": None})
            told = VerificationPassed(execution=unit.rid, prefix=unit.prefix, files=found.files)
            self.parts.emit(told)
            return
        said, before = sentence(unit, differ), unit.differs or {}
        since = before.get("since", at.isoformat())
        self._note(unit, {**facts, "differs": {**said, "since": since}})
        if before.get("why") != said["why"]:
            self.parts.emit(DifferenceFound(execution=unit.rid, prefix=unit.prefix, **said))

    def _take_over(self, unit: ExecutionRecord) -> bool:
        """Take over a later verification that a person made and that found no difference."""
        where = self.parts.settings.state_directory, unit.server, receipts.kept_as(unit)
        said = receipts.read_verified(*where)
        try:
            at = datetime.fromisoformat(said["at"])
            is_later = at > (unit.verified_at or unit.changed_at)
        except (KeyError, TypeError, ValueError):
            return False  # there is none
        if is_later:
            by = Proof.BYTES if said.get("read_back") == "all" else Proof.SERVER
            proof = {"by": by.value, "unverified": said.get("unverified", 0)}
            self._note(unit, {"verified_at": at, "proved_at": at, "proof": proof, "differs": None})
        return is_later

    def _note(self, unit: ExecutionRecord, facts: ExecutionFacts) -> None:
        self.parts.journal.commit([NoteExecution(unit.id, facts)])
