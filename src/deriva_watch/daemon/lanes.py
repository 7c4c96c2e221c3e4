"""Lanes: calls that may hang run in threads of their own, one lane for each root and the server.

    the loop ─▶ Lanes.tend: which lane is due and idle? ─▶ a thread ─▶ one turn of its task

A lane has one turn at a time. While that hangs, the lane gets nothing new and all others go on; the
thread is left behind until its call returns.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final, Protocol

from deriva_watch import liveness
from deriva_watch.core.events import Emit
from deriva_watch.pipeline.crash_report import report_crash
from deriva_watch.pipeline.journal_guard import JournalGuard
from deriva_watch.watch.threads import Threads

AT_ONCE: Final = 8  # turns
SLOW_S: Final = 1.0  # one that takes longer does not count any more: it may hang
LOOK_S: Final = 0.5  # how often the loop calls `tend`
AGAIN_S: Final = 5.0  # the wait after a bug


class Task(Protocol):
    """What a lane does."""

    @property
    def about(self) -> str:
        """What is asked, such as the path of a root."""

    def due_s(self) -> float:
        """Return when there is something to do, by `time.monotonic`; must not block."""

    def turn(self) -> None:
        """Do what is due, for a short time."""


@dataclass(slots=True, eq=False)
class _Lane:
    task: Task
    is_busy: bool = False
    began_s: float = -inf
    not_before_s: float = 0.0

    def due_s(self) -> float:
        return max(self.task.due_s(), self.not_before_s)


@dataclass(slots=True)
class Lanes:
    """The lanes of the daemon. `tend` and `end` are for the loop; any thread may call `add`.

    Attributes:
        guard: Runs each turn, and waits where the journal cannot be written.
        emit: Where bugs are reported.
        stop: Once set, no turn begins.
        wake: Called when a lane has something to do soon.
    """

    guard: JournalGuard
    emit: Emit
    stop: threading.Event
    wake: Callable[[], None]
    _lanes: list[_Lane] = field(default_factory=list)
    _waits: bool = False  # a lane waits for a turn of another to end
    _threads: Threads = field(default_factory=lambda: Threads(liveness.LANE))

    def add(self, task: Task) -> None:
        """Add a lane for *task*."""
        self._lanes.append(_Lane(task))
        self.wake()

    def tend(self) -> float:
        """Begin the turns that are due; call it every `LOOK_S`, or after a wake.

        Returns when to call it earlier, by `time.monotonic`.
        """
        now_s = time.monotonic()
        young = [each.began_s for each in self._busy() if each.began_s > now_s - SLOW_S]
        times = {lane: lane.due_s() for lane in self._lanes if not lane.is_busy}
        due = [lane for lane, due_s in times.items() if due_s <= now_s]
        room = max(0, AT_ONCE - len(young))
        # In turn: a lane that always has something to do keeps no other waiting.
        for lane in sorted(due, key=lambda lane: lane.began_s)[:room]:
            self._begin(lane)
        later = [due_s for due_s in times.values() if due_s > now_s]
        self._waits = len(due) > room
        if self._waits:  # the rest begins once a turn has ended, or has become slow
            later.append(min(young, default=now_s) + SLOW_S)
        return min(later, default=inf)

    def end(self, within_s: float) -> None:
        """Wait until the turns end that make progress, for *within_s* at most; *stop* is set."""
        ends_s = time.monotonic() + within_s
        while len(self._busy()) > _hung() and time.monotonic() < ends_s:
            time.sleep(0.02)

    def _busy(self) -> list[_Lane]:
        return [lane for lane in self._lanes if lane.is_busy]

    def _begin(self, lane: _Lane) -> None:
        lane.is_busy, lane.began_s = True, time.monotonic()
        self._threads.do(partial(self._take_turn, lane))

    def _take_turn(self, lane: _Lane) -> None:
        try:
            with liveness.depending_on(lane.task.about, liveness.BLOCK_S):
                if not self.stop.is_set():
                    self.guard.run(lane.task.turn)
        except Exception:  # noqa: BLE001  # a bug in one lane must not stop the others
            if not self.stop.is_set():  # the journal may be closed by now
                report_crash(self.emit, f"the lane of {lane.task.about}")
                lane.not_before_s = time.monotonic() + AGAIN_S
        finally:
            lane.is_busy = False
            # The loop looks at all lanes that often by itself: idle lanes shall not wake it.
            if self._waits or lane.due_s() < time.monotonic() + LOOK_S:
                self.wake()


def _hung() -> int:
    return sum(each.thread.startswith(liveness.LANE) for each in liveness.hangs())
