"""A limit on the bytes sent per second, shared by all threads."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from deriva_watch.core.timetable import Timetable

_PIECE_S: Final = 0.5  # the longest single wait, so that a stop is noticed


@dataclass(slots=True)
class Bandwidth:
    """Limits the bytes sent per second, at each moment as its timetable says.

    Attributes:
        limits: The timetable, or one number for all times; 0 means no limit.
        localtime: Tells the time of the clock on the wall.
    """

    limits: Timetable | int = 0
    localtime: Callable[[], time.struct_time] = time.localtime
    _free_at_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bytes_per_s(self) -> int:
        """Return the limit of this moment; 0 means none."""
        if isinstance(self.limits, int):
            return self.limits
        if not self.limits.periods:
            return self.limits.otherwise
        now = self.localtime()
        return self.limits.limit(now.tm_wday, now.tm_hour * 60 + now.tm_min)

    def piece_bytes(self, size_bytes: int) -> int:
        """Return how many of *size_bytes* to send at a time."""
        bytes_per_s = self.bytes_per_s()
        if not bytes_per_s:
            return size_bytes
        return min(size_bytes, max(1, int(bytes_per_s * _PIECE_S)))

    def wait(self, size_bytes: int) -> None:
        """Wait until earlier bytes are within the limit, then count *size_bytes*."""
        bytes_per_s = self.bytes_per_s()
        if not bytes_per_s:
            return
        # A piece that was begun under another limit counts as one of this limit.
        takes_s = min(size_bytes / bytes_per_s, max(_PIECE_S, 1 / bytes_per_s))
        with self._lock:  # unused time is not saved up
            at_s = max(self._free_at_s, time.monotonic())
            self._free_at_s = at_s + takes_s
        time.sleep(max(0.0, at_s - time.monotonic()))
