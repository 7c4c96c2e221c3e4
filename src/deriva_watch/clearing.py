"""Clears drop folders: what was uploaded long enough ago is moved or deleted, once verified again.

Idle work, in a thread of its own: uploads go first. How long ago is counted by how long this host
has been on, so that no clock that is set makes it long enough.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any, Final

from deriva_watch.core.drop import MOVED, Drop
from deriva_watch.core.errors import (
    CredentialError,
    JournalDamagedError,
    RefusedError,
    ServerAwayError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.events import FilePutBack, RemovalHeld
from deriva_watch.core.observation import Observation
from deriva_watch.core.records import ExecutionRecord, FileRecord, NoteExecution
from deriva_watch.core.removal import holding, objection
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.edges import putting_back, scanner
from deriva_watch.edges.clock import boot
from deriva_watch.engine.patience import InterruptedWorkError
from deriva_watch.engine.standing import Standing
from deriva_watch.gate import Gate
from deriva_watch.liveness import begin, waiting
from deriva_watch.lookout import Key
from deriva_watch.pipeline import Pipeline
from deriva_watch.removing import TOGETHER, Ground, Remover
from deriva_watch.workers import tell_crash

PASS_S: Final = 60.0  # how often it is seen what may be removed by now, at least
HELD_S: Final = 3600.0  # how often it is seen whether what held files back still does
SOON_S: Final = 60.0  # the same of what may pass by itself
TURN_S: Final = 30.0  # a unit that is cleared for so long is looked at before it goes on
YIELD_S: Final = 600.0  # uploads go first, but for no longer: to clear makes room
NICE: Final = 19
_AWAY: Final = {FileState.REMOVED, FileState.GONE}
_BUSY: Final = {ExecutionState.READY, ExecutionState.UPLOADING}


def ground_of(unit: ExecutionRecord, drop: Drop | None) -> Ground:
    """Return where the files of a unit of a drop folder may be removed, or put back."""
    whole = unit.unit == "directory"
    return Ground(
        top=Path(unit.prefix),
        base=f"{unit.rid}/" if whole else "",
        move=drop is None or drop.after == "move",
        whole=whole,
        markers=frozenset(drop.markers if drop else ()),
    )


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
class Clearing:
    """Removes the files of uploaded units, where `[[drop]] after` says so.

    Attributes:
        pipeline: What knows the folders, the journal and the server.
        gate: While it is closed nothing is removed.
        stop: Ends the work.
        again: Is told of a unit to look at.
        drops: The drop folders by path.
        ground: Tells where the files of a unit of one may be removed.
        turns: What is looked at now is not cleared, and the other way round.
    """

    pipeline: Pipeline
    gate: Gate
    stop: threading.Event
    again: Callable[[Key], None]
    drops: Mapping[Path, Drop]
    ground: Callable[[ExecutionRecord, Drop | None], Ground] = ground_of
    turns: Turns = field(default_factory=Turns)
    _remover: Remover = field(init=False)
    _thread: threading.Thread | None = None
    _swept: set[tuple[Path, int, int]] = field(default_factory=set)
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

    # ------------------------------------------------------------------ the thread

    def start(self, guard: Callable[[Callable[[], None]], None]) -> None:
        """Begin, where there is any drop folder; *guard* does a piece of work."""
        if self.drops:
            name, work = "clearing", lambda: self._work(guard)
            self._thread = threading.Thread(target=work, name=name, daemon=True)
            self._thread.start()

    def end(self, within_s: float) -> None:
        """Wait for the end of what runs, no longer than *within_s*; *stop* must be set."""
        if self._thread:
            self._thread.join(within_s)

    def _work(self, guard: Callable[[Callable[[], None]], None]) -> None:
        begin()
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        delays = (drop.after_delay_s for drop in self.drops.values() if drop.after != "keep")
        pause_s = max(0.2, min(PASS_S, *(delay_s / 10 for delay_s in delays), PASS_S))
        while not self.stop.is_set():
            try:
                guard(self.once)
            except InterruptedWorkError:
                return
            except Exception:  # noqa: BLE001  # a bug here must not stop what uploads
                tell_crash(self.pipeline.emit, "the clearing of drop folders")
            with waiting(pause_s):
                self.stop.wait(pause_s)

    # ------------------------------------------------------------------ after a crash

    def recover(self) -> None:
        """Find out how removals ended that a process began that died; before the first look."""
        begun: dict[int, list[FileRecord]] = {}
        for file in self.pipeline.journal.being_removed(self.pipeline.server):
            begun.setdefault(file.execution_id, []).append(file)
        for number, files in begun.items():
            unit = self.pipeline.journal.execution(number)
            drop = self.drops.get(Path(unit.prefix))  # it may not be in the settings any more
            self._remover.recover(unit, self.ground(unit, drop), files)

    def _sweep(self) -> None:
        """Put back what lies aside and no journal knows of, once for each folder."""
        for path, drop in self.drops.items():
            try:
                found = path.stat()
            except OSError:
                continue  # once it is there
            if (key := (path, found.st_dev, found.st_ino)) in self._swept:
                continue
            self._swept.add(key)
            moved = MOVED if drop.after == "move" else None
            for back in putting_back.put_back(path, but=moved):
                told = FilePutBack(prefix=str(path), path=back.path, now=back.now, why=back.why)
                self.pipeline.emit(told)

    # ------------------------------------------------------------------ clearing

    def once(self) -> None:
        """Remove what may be removed by now."""
        self._sweep()
        if all(drop.after == "keep" for drop in self.drops.values()):
            return
        uptime_s = self.pipeline.journal.uptime_s(*boot())
        for path, drop in self.drops.items():
            if drop.after == "keep":
                continue
            for unit in self.pipeline.journal.clearable(self.pipeline.server, str(path)):
                if self._is_due(unit, drop, uptime_s) and not self._must_wait():
                    self._clear(unit, drop)

    def _is_due(self, unit: ExecutionRecord, drop: Drop, uptime_s: float) -> bool:
        known = unit.removal or {}
        if "since_s" not in known:  # it has just been uploaded
            known = {"since_s": uptime_s}
            self._note(unit, known)
            self._again_s.pop(unit.id, None)
        waited = uptime_s - known["since_s"] >= drop.after_delay_s
        return waited and time.monotonic() >= self._again_s.get(unit.id, 0.0)

    def _must_wait(self) -> bool:
        if self.stop.is_set() or self.gate.error is not None or self.pipeline.halts.all:
            return True
        if time.monotonic() > self._worked_s + YIELD_S:
            return False
        return not _BUSY.isdisjoint(self.pipeline.journal.execution_counts())

    def _clear(self, unit: ExecutionRecord, drop: Drop) -> None:
        """Clear one unit as far as it may be."""
        key = Path(unit.prefix), unit.rid
        with self.turns.take(key) as is_free:
            if not is_free:
                return
            # It may have changed since it was read.
            unit = self.pipeline.journal.execution(unit.id)
            if unit.state is not ExecutionState.UPLOADED:
                return
            self._again_s[unit.id] = time.monotonic() + SOON_S  # where it has to be looked at first
            try:
                self._clear_ours(key, unit, self.ground(unit, drop))
            except JournalDamagedError:
                raise
            except (ServerAwayError, CredentialError) as error:
                self.gate.close(error)
            except TroubleError as error:
                self._hold(unit, error)
            except OSError as error:  # what lies there is another by now
                what, why = f"cannot remove files of {unit.called}", f"{error}"
                self._hold(unit, TransientError(what, why))
            self._worked_s = time.monotonic()

    def _clear_ours(self, key: Key, unit: ExecutionRecord, ground: Ground) -> None:
        """Clear a unit that nobody looks at meanwhile."""
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
            return
        going, kept = self._sorted(unit, ground, files, seen)
        ends_s = time.monotonic() + TURN_S
        for start in range(0, len(going), TOGETHER):
            if time.monotonic() > ends_s or self._must_wait():
                del self._again_s[unit.id]  # it goes on with the next pass
                return
            group = going[start : start + TOGETHER]
            outcome = self._remover.remove(unit, ground, group, seen)
            seen, kept = outcome.seen, kept or outcome.kept
            if outcome.reopened:
                self.again(key)
                return
        if kept:
            raise kept
        self._tries.pop(unit.id, None)
        self._note(unit, {"done": True})

    def _sorted(
        self,
        unit: ExecutionRecord,
        ground: Ground,
        files: Sequence[FileRecord],
        seen: Observation,
    ) -> tuple[list[FileRecord], RefusedError | None]:
        """Return the files that may go as far as is known here, and why another one may not."""
        left = self._left_beside(unit, ground, files, seen)
        going: list[FileRecord] = []
        kept: RefusedError | None = None
        for file in files:
            if file.state in _AWAY or file.path not in seen.entries:
                continue
            beside = left.get("" if ground.whole else file.path.rpartition("/")[0])
            if beside is not None:
                show = f"`deriva-watch show {quote(unit.rid)}`"
                then = f"Mend or remove it ({show}); they go by themselves."
                why = f"{beside}, which is not in the catalog, lies beside them"
                kept = RefusedError(f"files of {unit.called} stay where they are", why, then)
            elif bar := objection(file):
                then = f"`deriva-watch show {quote(unit.rid)}` tells more."
                kept = RefusedError(f"{file.path} stays where it is", bar, then)
            else:
                going.append(file)
        return going, kept

    def _left_beside(
        self,
        unit: ExecutionRecord,
        ground: Ground,
        files: Sequence[FileRecord],
        seen: Observation,
    ) -> dict[str, str]:
        """Return by folder what lies there and is not in the catalog; "" is the unit's own."""
        if ground.whole:
            left = holding(files, seen, ground.markers)
            return {} if left is None else {"": left}
        known = set(self.pipeline.journal.left_out(unit.server, unit.prefix))
        ignores = scanner.ignores(self.pipeline.intake.directory(ground.top, unit.rid).policy)
        found: dict[str, str] = {}
        for folder in {path.rpartition("/")[0] for path in seen.entries}:
            for place in (ground.top / folder).iterdir():
                path = f"{folder}/{place.name}".lstrip("/")
                is_left = path in known or (ignores(place.name) and not place.is_dir())
                if is_left and path not in ground.markers:
                    found[folder] = path
        return found

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
        self._note(unit, {**known, **said})
        self.pipeline.emit(RemovalHeld(execution=unit.rid, prefix=unit.prefix, **said))

    def _note(self, unit: ExecutionRecord, known: Mapping[str, Any]) -> None:
        self.pipeline.journal.commit([NoteExecution(unit.id, {"removal": known})])
