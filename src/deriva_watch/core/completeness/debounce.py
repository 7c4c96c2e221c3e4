"""The debounce queue: which directory to look at next, and when.

The debounce is a timestamp, not a timer: an entry has the time of the next look, and newer
information about the same directory only changes that time.
"""

import heapq
from collections.abc import Hashable
from datetime import datetime
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class DebounceQueue(Generic[K]):
    """Keys ordered by the time of their next look; each key is in it once."""

    def __init__(self) -> None:
        """Create an empty queue."""
        self._at: dict[K, datetime] = {}
        self._heap: list[tuple[datetime, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._at)

    def put(self, key: K, at: datetime) -> None:
        """Look at *key* at the time *at*, earlier or later than planned before."""
        self._at[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))

    def hint(self, key: K, at: datetime) -> None:
        """Look at *key* at the time *at* or earlier."""
        if key not in self._at or at < self._at[key]:
            self.put(key, at)

    def drop(self, key: K) -> None:
        """Do not look at *key* any more."""
        self._at.pop(key, None)

    def next_at(self) -> datetime | None:
        """Return when the next look is due."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # moved or dropped since
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> K | None:
        """Return a key whose time has come and remove it, or None."""
        at = self.next_at()
        if at is None or at > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._at[key]
        return key
