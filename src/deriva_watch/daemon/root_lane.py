"""The lane of one root: it watches and scans it, and looks at its units."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Final

from deriva_watch.daemon.looking import UnitLooks
from deriva_watch.edges.host.machine import Clock
from deriva_watch.liveness import beat
from deriva_watch.watch.look_queue import LookQueue
from deriva_watch.watch.root import Root

TURN_S: Final = 0.5  # how long a lane looks at units before others get their turn


@dataclass(slots=True)
class ClockCheck:
    """Notices that the clock was set, for all lanes.

    Attributes:
        forget: Called with the step in seconds: times measured before mean nothing.
    """

    forget: Callable[[float], None]
    _clock: Clock = field(default_factory=Clock)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Forget earlier times if the clock was set."""
        with self._lock:
            if step_s := self._clock.step_s():
                self.forget(step_s)


@dataclass(slots=True)
class RootLane:
    """What the lane of a root does.

    Attributes:
        about: The root, for people.
        root: The root; None: the units are of roots that are not watched now.
        looks: The units to look at.
        unit_looks: Looks at one.
        clock: Checked before each look.
        stop: Once set, nothing is looked at any more.
        looked: Called after each look.
        recover: Called before the first look: finds out how earlier removals ended.
    """

    about: str
    root: Root | None
    looks: LookQueue
    unit_looks: UnitLooks
    clock: ClockCheck
    stop: threading.Event
    looked: Callable[[], None]
    recover: Callable[[], None]
    _has_begun: bool = False

    def due_s(self) -> float:
        """Return when there is something to do, by `time.monotonic`."""
        if not self._has_begun:
            return 0.0
        root_s = self.root.due_s() if self.root else inf
        if (next_at := self.looks.next_at()) is None:
            return root_s
        look_s = time.monotonic() + (next_at - datetime.now(UTC)).total_seconds()
        return min(root_s, look_s)

    def turn(self) -> None:
        """Tend the root, then look at the units that are due."""
        if not self._has_begun:
            self._has_begun = True
            self.recover()
        if self.root:
            self.root.tend()
        ends_s = time.monotonic() + TURN_S
        while not self.stop.is_set() and time.monotonic() < ends_s:
            unit = self.looks.take()
            if unit is None:
                return
            beat()
            self.clock.check()
            self.unit_looks.look(unit)
            self.looked()
