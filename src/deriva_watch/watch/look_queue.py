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
    """The units to look at, by time. Any thread may call `hint`; all else the one that looks."""

    _hints: "queue.SimpleQueue[Unit]" = field(default_factory=queue.SimpleQueue)
    _due: DebounceQueue[Unit] = field(default_factory=DebounceQueue)
    _costs_s: dict[Unit, float] = field(default_factory=dict)

    def hint(self, unit: Unit) -> None:
        """Note that something happened in a unit."""
        self._hints.put(unit)

    def soon(self, unit: Unit, in_s: float = 0.0) -> None:
        """Queue a unit to be looked at in *in_s* seconds, or earlier."""
        self._due.hint(unit, datetime.now(UTC) + timedelta(seconds=in_s))

    def take(self, within_s: float) -> Unit | None:
        """Return a unit that is due; None after *within_s*, or after a hint, without one."""
        now = datetime.now(UTC)
        if (unit := self._due.take(now)) is not None:
            return unit
        if (next_at := self._due.next_at()) is not None:
            within_s = min(within_s, max(0.01, (next_at - now).total_seconds()))
        try:
            hinted = self._hints.get(timeout=within_s)
        except queue.Empty:
            return None
        self.soon(hinted, HINT_S + LOOK_SHARE * self._costs_s.get(hinted, 0.0))
        return None

    def put(self, unit: Unit, again_at: datetime | None, began_s: float) -> None:
        """Put a unit back after a look that began at *began_s* of the monotonic clock."""
        if again_at is None:
            self._costs_s.pop(unit, None)
            return
        self._costs_s[unit] = time.monotonic() - began_s
        self._due.hint(unit, again_at)

    def clear(self) -> None:
        """Forget what is due, because the clock was set; hints stay."""
        self._due = DebounceQueue()
