"""Which unit to look at next, and when.

watcher, workers, cleanup ─▶ hint ─┐
scans, orders ─────────────▶ soon ─┴─▶ take ─▶ a look ─▶ put
"""

import queue
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from deriva_watch.core.completeness.debounce import DebounceQueue
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.unit import Unit

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
class LookQueue:
    """The units to look at, by time. Any thread may call `hint`; all else the one that looks.

    Where units of several owners are due, the owners take turns: somebody who has thousands of
    directories keeps nobody else waiting.
    """

    _hints: "queue.SimpleQueue[Unit]" = field(default_factory=queue.SimpleQueue)
    _lanes: dict[int | None, DebounceQueue[Unit]] = field(default_factory=dict)  # by turn
    _owners: dict[Unit, int | None] = field(default_factory=dict)  # of the units in them
    _costs_s: dict[Unit, float] = field(default_factory=dict)

    def hint(self, unit: Unit) -> None:
        """Note that something happened in a unit."""
        self._hints.put(unit)

    def soon(self, unit: Unit, in_s: float = 0.0) -> None:
        """Queue a unit to be looked at in *in_s* seconds, or earlier."""
        self._add(unit, datetime.now(UTC) + timedelta(seconds=in_s))

    def take(self, within_s: float) -> Unit | None:
        """Return a unit that is due; None after *within_s*, or after a hint, without one."""
        now = datetime.now(UTC)
        if (unit := self._take(now)) is not None:
            return unit
        if (next_at := self.next_at()) is not None:
            within_s = min(within_s, max(0.01, (next_at - now).total_seconds()))
        try:
            hinted = self._hints.get(timeout=within_s)
        except queue.Empty:
            return None
        self.soon(hinted, HINT_S + LOOK_SHARE * self._costs_s.get(hinted, 0.0))
        return None

    def next_at(self) -> datetime | None:
        """Return when the next look is due."""
        times = (lane.next_at() for lane in self._lanes.values())
        return min(filter(None, times), default=None)

    def put(self, unit: Unit, again_at: datetime | None, began_s: float) -> None:
        """Put a unit back after a look that began at *began_s* of the monotonic clock."""
        if again_at is None:
            self._costs_s.pop(unit, None)
            return
        self._costs_s[unit] = time.monotonic() - began_s
        self._add(unit, again_at)

    def clear(self) -> None:
        """Forget what is due, because the clock was set; hints stay."""
        self._lanes.clear()
        self._owners.clear()

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
        return unit.root.lstat().st_uid
    except (OSError, ValueError):
        return None
