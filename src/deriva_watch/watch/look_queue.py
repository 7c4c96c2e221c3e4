"""Which unit to look at next, and when.

watcher, workers, cleanup ─▶ hint ─┐
scans, orders ─────────────▶ soon ─┴─▶ take ─▶ a look ─▶ put

Each root has a queue of its own, so that one which hangs holds up no other.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from deriva_watch.core.completeness.debounce import DebounceQueue
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.unit import Unit
from deriva_watch.liveness import depending_on

HINT_S: Final = 0.2  # how long a hint waits for more hints of the same unit
LOOK_SHARE: Final = 10  # and ten times as long as its last look took: looks stay below a tenth


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look at a unit found.

    Attributes:
        again_at: When to look again without an event; None: not before there is one.
        also: Other units to look at now.
        problems: What keeps parts of it from being uploaded, by subject; None: nothing any more.
    """

    again_at: datetime | None = None
    also: tuple[Unit, ...] = ()
    problems: Mapping[str, TroubleError | None] = field(default_factory=dict)


@dataclass(slots=True)
class Looks:
    """The queues of all roots. Any thread may call.

    Attributes:
        wake: Called when there is something to look at.
        elsewhere: The units whose root is not watched now.
    """

    wake: Callable[[], None]
    elsewhere: "LookQueue" = field(init=False)
    _queues: "dict[Path, LookQueue]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with none."""
        self.elsewhere = LookQueue(self.wake)

    def add(self, prefix: Path) -> "LookQueue":
        """Return the queue of a new root."""
        queue = self._queues[prefix] = LookQueue(self.wake)
        return queue

    def hint(self, unit: Unit) -> None:
        """Note that something happened in a unit."""
        self._queues.get(unit.prefix, self.elsewhere).hint(unit)

    def soon(self, unit: Unit) -> None:
        """Have a unit looked at."""
        self._queues.get(unit.prefix, self.elsewhere).soon(unit)

    def clear(self) -> None:
        """Forget what is due, because the clock was set; hints stay."""
        for queue in (self.elsewhere, *list(self._queues.values())):
            queue.clear()


@dataclass(slots=True)
class LookQueue:
    """The units of one root to look at, by time.

    Any thread may call `hint`, `soon`, `clear` and `next_at`; all else is called by the one that
    looks, because it asks the file system. Where units of several owners are due, the owners take
    turns: somebody who has thousands of directories keeps nobody else waiting.

    Attributes:
        wake: Called where something was added that may be due before `next_at` said.
    """

    wake: Callable[[], None] = lambda: None
    _hinted: set[Unit] = field(default_factory=set)  # these four: since the last `take`
    _asked: dict[Unit, datetime] = field(default_factory=dict)
    _is_void: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lanes: dict[int | None, DebounceQueue[Unit]] = field(default_factory=dict)  # by turn
    _owners: dict[Unit, int | None] = field(default_factory=dict)  # of the units in them
    _costs_s: dict[Unit, float] = field(default_factory=dict)
    _next_at: datetime | None = None

    def hint(self, unit: Unit) -> None:
        """Note that something happened in a unit."""
        with self._lock:
            self._hinted.add(unit)
        self.wake()

    def soon(self, unit: Unit, in_s: float = 0.0) -> None:
        """Queue a unit to be looked at in *in_s* seconds, or earlier."""
        at = datetime.now(UTC) + timedelta(seconds=in_s)
        with self._lock:
            self._asked[unit] = min(at, self._asked.get(unit, at))
        self.wake()

    def clear(self) -> None:
        """Forget what is due, because the clock was set; hints stay."""
        with self._lock:
            self._is_void = True
            self._asked.clear()

    def next_at(self) -> datetime | None:
        """Return when the next look is due; what was just added is due at once."""
        has_news = self._hinted or self._asked or self._is_void
        return datetime.now(UTC) if has_news else self._next_at

    def take(self) -> Unit | None:
        """Return a unit that is due, or None."""
        self._hear()
        unit = self._take(datetime.now(UTC))
        self._note_next()
        return unit

    def put(self, unit: Unit, again_at: datetime | None, began_s: float) -> None:
        """Put a unit back after a look that began at *began_s* of the monotonic clock."""
        if again_at is None:
            self._costs_s.pop(unit, None)
            return
        self._costs_s[unit] = time.monotonic() - began_s
        self._add(unit, again_at)
        self._note_next()

    def _hear(self) -> None:
        """Take over what other threads have added."""
        with self._lock:
            hinted, self._hinted = self._hinted, set()
            asked, self._asked = self._asked, {}
            is_void, self._is_void = self._is_void, False
        if is_void:
            self._lanes.clear()
            self._owners.clear()
        now = datetime.now(UTC)
        for unit in hinted:
            in_s = HINT_S + LOOK_SHARE * self._costs_s.get(unit, 0.0)
            self._add(unit, now + timedelta(seconds=in_s))
        for unit, at in asked.items():
            self._add(unit, at)

    def _note_next(self) -> None:
        times = (lane.next_at() for lane in self._lanes.values())
        self._next_at = min(filter(None, times), default=None)

    def _add(self, unit: Unit, at: datetime) -> None:
        if unit not in self._owners:
            self._owners[unit] = _owner(unit)
        self._lanes.setdefault(self._owners[unit], DebounceQueue()).hint(unit, at)

    def _take(self, now: datetime) -> Unit | None:
        for owner, lane in self._lanes.items():
            if (unit := lane.take(now)) is not None:
                del self._owners[unit], self._lanes[owner]
                if lane:
                    self._lanes[owner] = lane  # all others come before its next turn
                return unit
        return None


def _owner(unit: Unit) -> int | None:
    """Return the owner of a unit's folder; None if that is not known."""
    try:
        with depending_on(unit.prefix):
            return unit.root.lstat().st_uid
    except (OSError, ValueError):
        return None
