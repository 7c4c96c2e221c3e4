"""The one routine that removes the files of an uploaded unit, for both policies.

The daemon's scheduler and the command `reclaim` decide which units, and when; both call `clean`.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deriva_watch.cleanup.eligibility import Eligibility
from deriva_watch.cleanup.policy import Policy
from deriva_watch.cleanup.remover import TOGETHER, Remover
from deriva_watch.core.changes import NoteExecution
from deriva_watch.core.error_effects import Effect, classify
from deriva_watch.core.errors import (
    CredentialError,
    RefusedError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.events import Emit, RemovalBlocked
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk import receipts
from deriva_watch.edges.journal import Journal
from deriva_watch.liveness import BLOCK_S, depending_on
from deriva_watch.pipeline.build import Parts
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.receipt_schema import removal_proof
from deriva_watch.pipeline.unit_reader import UnitReader

KEPT_S: Final = 3600.0  # how long until files that a person must free are checked again
SOON_S: Final = 60.0  # the same for what may pass by itself
PASS_S: Final = 30.0  # after this long the removal of a unit pauses, so that the unit is looked at
YIELD_S: Final = 600.0  # uploads go first, but for no longer: a removal makes room for them
_BUSY: Final = {ExecutionState.READY, ExecutionState.UPLOADING}


@dataclass(slots=True)
class UnitLocks:
    """Gives a unit to one thread at a time: nothing looks at it while files are set aside."""

    _taken: set[Unit] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def take(self, unit: Unit) -> Iterator[bool]:
        """Take a unit for the length of the context; False: another thread has it."""
        with self._lock:
            is_free = unit not in self._taken
            self._taken.add(unit)
        try:
            yield is_free
        finally:
            if is_free:
                with self._lock:
                    self._taken.discard(unit)


@dataclass(slots=True)
class UnitCleaner:
    """Removes the files of uploaded units of one catalog, one unit after the other.

    Attributes:
        journal: Knows the units and their files.
        server: The "host/catalog" that they are kept under.
        unit_reader: Looks at the directories.
        remover: Removes a few files at a time.
        breaker: While it is tripped nothing is removed.
        holds: Tells whether a person has paused everything.
        emit: Where events go.
        stop: Once set, nothing more is removed.
        again: Called with a unit that has changed, so that it is looked at.
        locks: A unit is not looked at while its files are removed, and the other way round.
        hangs_at: Whether a folder is in a root that does not answer: it is left alone.
    """

    journal: Journal
    server: str
    unit_reader: UnitReader
    remover: Remover
    breaker: CircuitBreaker
    holds: HoldCache
    emit: Emit
    stop: threading.Event
    again: Callable[[Unit], None]
    locks: UnitLocks = field(default_factory=UnitLocks)
    hangs_at: Callable[[Path], bool] = lambda _folder: False
    _again_s: dict[int, float] = field(default_factory=dict)
    _tries: Counter[int] = field(default_factory=Counter)
    _worked_s: float = field(default_factory=time.monotonic)

    @classmethod
    def of(
        cls,
        parts: Parts,
        stop: threading.Event,
        again: Callable[[Unit], None],
        hangs_at: Callable[[Path], bool] = lambda _folder: False,
    ) -> "UnitCleaner":
        """Build it from the parts of one catalog."""
        journal, reader, emit = parts.journal, parts.unit_reader, parts.emit
        remover = Remover(journal, parts.catalog, parts.server_check, reader, emit, stop)
        return cls(
            journal=journal,
            server=parts.server,
            unit_reader=reader,
            remover=remover,
            breaker=parts.breaker,
            holds=parts.holds,
            emit=emit,
            stop=stop,
            again=again,
            hangs_at=hangs_at,
        )

    # ------------------------------------------------------------------ when

    def must_wait(self, *, urgent: bool = False) -> bool:
        """Return whether removal must wait; work that is not *urgent* lets uploads go first."""
        if self.stop.is_set() or self.breaker.error is not None or self.holds.pause:
            return True
        if urgent or time.monotonic() > self._worked_s + YIELD_S:
            return False
        return not _BUSY.isdisjoint(self.journal.execution_counts())

    def is_kept(self, unit: ExecutionRecord) -> bool:
        """Return whether the files of a unit were found to stay, too recently to check again."""
        return time.monotonic() < self._again_s.get(unit.id, 0.0)

    def forget(self, unit: ExecutionRecord) -> None:
        """Forget what was found out about a unit: it has been uploaded since."""
        self._again_s.pop(unit.id, None)

    def note(self, unit: ExecutionRecord, known: Mapping[str, Any]) -> None:
        """Write into the journal how far the removal of a unit is."""
        self.journal.commit([NoteExecution(unit.id, {"removal": known})])

    # ------------------------------------------------------------------ the routine

    def recover(
        self,
        policy_of: Callable[[ExecutionRecord], Policy],
        is_meant: Callable[[Path], bool] = lambda _prefix: True,
    ) -> None:
        """Find out how the removals of a dead process ended, where the prefix *is_meant*.

        Call it before the first look there.
        """
        begun: dict[int, list[FileRecord]] = {}
        for file in self.journal.being_removed(self.server):
            begun.setdefault(file.execution_id, []).append(file)
        for number, files in begun.items():
            unit = self.journal.execution(number)
            if is_meant(Path(unit.prefix)):
                self.remover.recover(unit, policy_of(unit), files)

    def clean(self, unit: ExecutionRecord, policy: Policy, *, urgent: bool = False) -> bool:
        """Remove the files of a unit that its policy allows to remove.

        Return False if it must be called again later.
        """
        key = self.unit_reader.settings.unit_of(unit)
        if self.hangs_at(key.prefix):
            return False
        with self.locks.take(key) as is_free, depending_on(key.prefix, BLOCK_S):
            if not is_free:
                return False
            unit = self.journal.execution(unit.id)  # it may have changed since it was read
            if unit.state is not ExecutionState.UPLOADED:
                return True
            self._again_s[unit.id] = time.monotonic() + SOON_S  # unless something else is found
            try:
                is_done = self._clean_ours(key, unit, policy, urgent=urgent)
            except (TroubleError, OSError) as error:
                is_done = self._failed(unit, error)
            finally:
                self._worked_s = time.monotonic()
            if policy.is_execution:
                self._update_receipt(unit)
        return is_done

    def _clean_ours(
        self, key: Unit, unit: ExecutionRecord, policy: Policy, *, urgent: bool
    ) -> bool:
        """Clean a unit that no other thread has."""
        files = self.journal.files(unit.id)
        if begun := [f for f in files if f.removal and f.state is not FileState.REMOVED]:
            self._recover(unit, policy, begun)
            files, unit = self.journal.files(unit.id), self.journal.execution(unit.id)
        seen = self.unit_reader.look(key)
        if seen is None or seen.digest() != unit.digest:
            self.again(key)
            return True
        eligibility = Eligibility(self.journal, self.unit_reader)
        removable, stays = eligibility.sort(unit, policy, files, seen)
        kept = None if policy.is_execution else next(iter(stays.values()), None)
        ends_s = time.monotonic() + PASS_S
        for start in range(0, len(removable), TOGETHER):
            if time.monotonic() > ends_s or self.must_wait(urgent=urgent):
                del self._again_s[unit.id]  # the next pass continues
                return False
            outcome = self.remover.remove(unit, policy, removable[start : start + TOGETHER], seen)
            seen, kept = outcome.seen, kept or outcome.kept
            if outcome.reopened:
                self.again(key)
                return True
        if kept:
            raise kept
        self._tries.pop(unit.id, None)
        why = next((error.why for error in stays.values()), None)
        self.note(unit, {"done": True} | ({"stay": len(stays), "why_stay": why} if stays else {}))
        return True

    def _recover(self, unit: ExecutionRecord, policy: Policy, begun: list[FileRecord]) -> None:
        if not self.remover.recover(unit, policy, begun):
            raise TransientError(
                f"cannot remove files of {unit.label}",
                f"{begun[0].path} was set aside, and can be neither found nor put back",
            )

    # ------------------------------------------------------------------ what is reported

    def _failed(self, unit: ExecutionRecord, error: TroubleError | OSError) -> bool:
        """Return False where the unit is not at fault, so that it is cleaned later."""
        match classify(error, f"cannot remove files of {unit.label}"):
            case (Effect.FATAL, _):
                raise error
            case (Effect.STOP_ALL, TransientError() | CredentialError() as known):
                self.breaker.trip(known)
                return False
        self._keep(unit, error)
        return True

    def _keep(self, unit: ExecutionRecord, error: TroubleError | OSError) -> None:
        """Report once why files stay, and check later whether that is still so."""
        if isinstance(error, OSError):  # something else is on the disk now
            error = TransientError(f"cannot remove files of {unit.label}", str(error))
        self._tries[unit.id] += 1  # what may pass is tried soon, and then less and less often
        soon_s = KEPT_S if isinstance(error, RefusedError) else SOON_S * 2 ** self._tries[unit.id]
        self._again_s[unit.id] = time.monotonic() + min(soon_s, KEPT_S)
        known = self.journal.execution(unit.id).removal or {}
        if known.get("why") == error.why:
            return
        said = error.sentence(unit.rid)
        self.note(unit, {**known, **said})
        self.emit(RemovalBlocked(execution=unit.rid, prefix=unit.prefix, **said))

    def _update_receipt(self, unit: ExecutionRecord) -> None:
        """Write into the receipt which files were removed here."""
        files = self.journal.files(unit.id)
        removed = {file.path: proof for file in files if (proof := removal_proof(file))}
        settings, name = self.unit_reader.settings, receipts.kept_as(unit)
        beside = self.unit_reader.directory(settings.unit_of(unit)).opened
        receipts.tell_removed(settings.state_directory, self.server, name, beside, removed)
