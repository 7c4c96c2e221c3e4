"""Clears drop folders: what was uploaded long enough ago is moved or deleted, once verified again.

Idle work, in a thread of its own: uploads go first. How long ago is counted by how long this host
has been on, so that no clock that is set makes it long enough. The same thread reclaims executions.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deriva_watch.cleanup.remover import Ground
from deriva_watch.cleanup.retention import Reclaiming, execution_ground
from deriva_watch.cleanup.unit_cleaner import Emptying
from deriva_watch.core.drop.drop_folder import MOVED, Drop
from deriva_watch.core.errors import InterruptedWorkError
from deriva_watch.core.events import FileRestored
from deriva_watch.core.layout import ROOT
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.disk import restore
from deriva_watch.edges.host.machine import boot
from deriva_watch.liveness import begin, waiting
from deriva_watch.pipeline.crash_report import report_crash
from deriva_watch.pipeline.unit_paths import watched

PASS_S: Final = 60.0  # how often it is seen what may be removed by now, at least
ORDERS_S: Final = 1.0  # how often it is seen whether a person orders it
NICE: Final = 19


def ground_of(unit: ExecutionRecord, drop: Drop | None) -> Ground:
    """Return where the files of a unit may be removed, or put back."""
    if unit.unit is None:
        return execution_ground(unit)
    whole = unit.unit == "directory"
    return Ground(
        top=Path(unit.prefix),
        base=f"{unit.rid}/" if whole else "",
        move=drop is None or drop.after == "move",
        whole=whole,
        markers=frozenset(drop.markers if drop else ()),
    )


@dataclass(slots=True)
class Clearing:
    """Removes the files of uploaded units, where `[[drop]] after` or `[reclaim]` says so.

    Attributes:
        emptying: Removes the files of one unit.
        drops: The drop folders by path.
        reclaiming: Does the same for execution directories.
        ground: Tells where the files of a unit of a drop folder may be removed.
    """

    emptying: Emptying
    drops: Mapping[Path, Drop]
    reclaiming: Reclaiming | None = None
    ground: Callable[[ExecutionRecord, Drop | None], Ground] = ground_of
    _thread: threading.Thread | None = None
    _swept: set[tuple[Path, int, int]] = field(default_factory=set)

    # ------------------------------------------------------------------ the thread

    def start(self, guard: Callable[[Callable[[], None]], None]) -> None:
        """Begin; *guard* does a piece of work."""
        name, work = "clearing", lambda: self._work(guard)
        self._thread = threading.Thread(target=work, name=name, daemon=True)
        self._thread.start()

    def end(self, within_s: float) -> None:
        """Wait for the end of what runs, no longer than *within_s*; *stop* must be set."""
        if self._thread:
            self._thread.join(within_s)

    def _work(self, guard: Callable[[Callable[[], None]], None]) -> None:
        begin()
        with suppress(PermissionError):  # a courtesy, which a filter of system calls may forbid
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        stop = self.emptying.stop
        delays = (drop.after_delay_s for drop in self.drops.values() if drop.after != "keep")
        pause_s, next_s = max(0.2, min(PASS_S, *(each / 10 for each in delays), PASS_S)), 0.0
        while not stop.is_set():
            is_due = time.monotonic() >= next_s
            if is_due:
                next_s = time.monotonic() + pause_s
            try:
                for work in self._works(is_due=is_due):
                    guard(work)
            except InterruptedWorkError:
                return
            except Exception:  # noqa: BLE001  # a bug here must not stop what uploads
                report_crash(self.emptying.pipeline.emit, "the removal of uploaded files")
            with waiting(ORDERS_S):
                stop.wait(min(pause_s, ORDERS_S))

    def _works(self, *, is_due: bool) -> Iterator[Callable[[], None]]:
        if self.drops and is_due:
            yield self.once
        if self.reclaiming:
            yield self.reclaiming.once if is_due else self.reclaiming.obey

    # ------------------------------------------------------------------ after a crash

    def recover(self) -> None:
        """Find out how removals ended that a process began that died; before the first look."""
        # A drop folder may not be in the settings any more.
        self.emptying.recover(lambda unit: self.ground(unit, self.drops.get(Path(unit.prefix))))
        pipeline = self.emptying.pipeline
        if pipeline.journal.set_aside():  # it knew what lies aside in executions
            for prefix in watched(pipeline.settings):
                self._put_back(prefix, prefix / ROOT / "execution", None)

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
            self._put_back(path, path, moved)

    def _put_back(self, prefix: Path, folder: Path, but: str | None) -> None:
        for back in restore.put_back(folder, but=but):
            told = FileRestored(prefix=str(prefix), path=back.path, now=back.now, why=back.why)
            self.emptying.pipeline.emit(told)

    # ------------------------------------------------------------------ clearing

    def once(self) -> None:
        """Remove what may be removed by now."""
        self._sweep()
        if all(drop.after == "keep" for drop in self.drops.values()):
            return
        journal, server = self.emptying.pipeline.journal, self.emptying.pipeline.server
        uptime_s = journal.uptime_s(*boot())
        for path, drop in self.drops.items():
            if drop.after == "keep":
                continue
            for unit in journal.clearable(server, str(path)):
                if self._is_due(unit, drop, uptime_s) and not self.emptying.must_wait():
                    self.emptying.empty(unit, self.ground(unit, drop))

    def _is_due(self, unit: ExecutionRecord, drop: Drop, uptime_s: float) -> bool:
        known = unit.removal or {}
        if "since_s" not in known:  # it has just been uploaded
            known = {"since_s": uptime_s}
            self.emptying.note(unit, known)
            self.emptying.begin_anew(unit)
        waited = uptime_s - known["since_s"] >= drop.after_delay_s
        return waited and not self.emptying.rests(unit)
