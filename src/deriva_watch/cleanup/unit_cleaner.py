"""Empties uploaded units: takes their files away as far as they may go, and tells what stays.

Which of them, and when, is the business of `clearing` and `reclaiming`.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deriva_watch.cleanup.eligibility import Sorter
from deriva_watch.cleanup.remover import TOGETHER, Ground, Remover
from deriva_watch.core.errors import (
    CredentialError,
    JournalDamagedError,
    RefusedError,
    ServerAwayError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.events import RemovalBlocked
from deriva_watch.core.records import ExecutionRecord, FileRecord, NoteExecution
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.core.unit import Key
from deriva_watch.engine.server_check import Standing
from deriva_watch.pipeline.attempt import Pipeline
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker

HELD_S: Final = 3600.0  # how often it is seen whether what held files back still does
SOON_S: Final = 60.0  # the same of what may pass by itself
TURN_S: Final = 30.0  # a unit that is cleared for so long is looked at before it goes on
YIELD_S: Final = 600.0  # uploads go first, but for no longer: to clear makes room
_BUSY: Final = {ExecutionState.READY, ExecutionState.UPLOADING}


@dataclass(slots=True)
class Turns:
    """Who has a unit now: a look must not find it while files of it are aside."""

    _taken: set[Key] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def take(self, key: Key) -> Iterator[bool]:
        """Have a unit to oneself; False: somebody has it."""
        with self._lock:
            is_free = key not in self._taken
            self._taken.add(key)
        try:
            yield is_free
        finally:
            if is_free:
                with self._lock:
                    self._taken.discard(key)


@dataclass(slots=True)
class Emptying:
    """Removes the files of uploaded units, one after the other.

    Attributes:
        pipeline: What knows the folders, the journal and the server.
        breaker: While it is closed nothing is removed.
        stop: Ends the work.
        again: Is told of a unit to look at.
        turns: What is looked at now is not cleared, and the other way round.
    """

    pipeline: Pipeline
    breaker: CircuitBreaker
    stop: threading.Event
    again: Callable[[Key], None]
    turns: Turns = field(default_factory=Turns)
    _remover: Remover = field(init=False)
    _again_s: dict[int, float] = field(default_factory=dict)
    _tries: Counter[int] = field(default_factory=Counter)
    _worked_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        pipeline, rows = self.pipeline, self.pipeline.uploader.rows
        standing = Standing(rows.catalog, rows.store, rows.patience)
        self._remover = Remover(
            pipeline.journal,
            pipeline.catalog,
            standing,
            pipeline.intake.look,
            pipeline.emit,
            self.stop,
        )

    def recover(self, ground: Callable[[ExecutionRecord], Ground]) -> None:
        """Find out how removals ended that a process began that died; before the first look."""
        begun: dict[int, list[FileRecord]] = {}
        for file in self.pipeline.journal.being_removed(self.pipeline.server):
            begun.setdefault(file.execution_id, []).append(file)
        for number, files in begun.items():
            unit = self.pipeline.journal.execution(number)
            self._remover.recover(unit, ground(unit), files)

    def rests(self, unit: ExecutionRecord) -> bool:
        """Tell whether it was found out a moment ago why files of a unit stay."""
        return time.monotonic() < self._again_s.get(unit.id, 0.0)

    def note(self, unit: ExecutionRecord, known: Mapping[str, Any]) -> None:
        """Write down how the removal of a unit stands."""
        self.pipeline.journal.commit([NoteExecution(unit.id, {"removal": known})])

    def begin_anew(self, unit: ExecutionRecord) -> None:
        """Forget what was found out about a unit: it is looked at again."""
        self._again_s.pop(unit.id, None)

    def must_wait(self, *, urgent: bool = False) -> bool:
        """Tell whether nothing may be removed now; what is not *urgent* lets uploads go first."""
        if self.stop.is_set() or self.breaker.error is not None or self.pipeline.holds.pause:
            return True
        if urgent or time.monotonic() > self._worked_s + YIELD_S:
            return False
        return not _BUSY.isdisjoint(self.pipeline.journal.execution_counts())

    def empty(self, unit: ExecutionRecord, ground: Ground, *, urgent: bool = False) -> bool:
        """Remove the files of one unit as far as they may go; False: it has to go on later."""
        key = Path(unit.prefix), unit.rid
        with self.turns.take(key) as is_free:
            if not is_free:
                return False
            # It may have changed since it was read.
            unit = self.pipeline.journal.execution(unit.id)
            if unit.state is not ExecutionState.UPLOADED:
                return True
            self._again_s[unit.id] = time.monotonic() + SOON_S  # where it has to be looked at first
            try:
                return self._empty_ours(key, unit, ground, urgent=urgent)
            except JournalDamagedError:
                raise
            except (ServerAwayError, CredentialError) as error:
                self.breaker.trip(error)
                return False
            except TroubleError as error:
                self._hold(unit, error)
            except OSError as error:  # what lies there is another by now
                what, why = f"cannot remove files of {unit.called}", f"{error}"
                self._hold(unit, TransientError(what, why))
            finally:
                self._worked_s = time.monotonic()
        return True

    def _empty_ours(self, key: Key, unit: ExecutionRecord, ground: Ground, *, urgent: bool) -> bool:
        """Empty a unit that nobody looks at meanwhile."""
        files = self.pipeline.journal.files(unit.id)
        if begun := [f for f in files if f.removal and f.state is not FileState.REMOVED]:
            if not self._remover.recover(unit, ground, begun):
                raise TransientError(
                    f"cannot remove files of {unit.called}",
                    f"{begun[0].path} was set aside, and can be neither found nor put back",
                )
            files = self.pipeline.journal.files(unit.id)
            unit = self.pipeline.journal.execution(unit.id)
        seen = self.pipeline.intake.look(*key)
        if seen is None or seen.digest() != unit.digest:
            self.again(key)  # it says what to make of it
            return True
        sorter = Sorter(self.pipeline.journal, self.pipeline.intake)
        may_go, stays = sorter.sort(unit, ground, files, seen)
        kept = None if ground.is_ml else next(iter(stays.values()), None)
        ends_s = time.monotonic() + TURN_S
        for start in range(0, len(may_go), TOGETHER):
            if time.monotonic() > ends_s or self.must_wait(urgent=urgent):
                del self._again_s[unit.id]  # it goes on with the next pass
                return False
            outcome = self._remover.remove(unit, ground, may_go[start : start + TOGETHER], seen)
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

    # ------------------------------------------------------------------ what is told

    def _hold(self, unit: ExecutionRecord, error: TroubleError) -> None:
        """Tell once why files stay, and see later whether that still holds."""
        self._tries[unit.id] += 1  # what may pass is tried soon, and then less and less often
        soon_s = HELD_S if isinstance(error, RefusedError) else SOON_S * 2 ** self._tries[unit.id]
        self._again_s[unit.id] = time.monotonic() + min(soon_s, HELD_S)
        known = (self.pipeline.journal.execution(unit.id).removal) or {}
        if known.get("why") == error.why:
            return
        said = {"what": error.what, "why": error.why, "next": error.next_for(unit.rid)}
        self.note(unit, {**known, **said})
        self.pipeline.emit(RemovalBlocked(execution=unit.rid, prefix=unit.prefix, **said))
