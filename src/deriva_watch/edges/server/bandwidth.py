"""A limit on the bytes sent per second, shared by all threads."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

_PIECE_S: Final = 0.5  # the longest single wait, so that a stop is noticed


@dataclass(slots=True)
class Bandwidth:
    """Limits the bytes sent per second; 0 means no limit."""

    bytes_per_s: int = 0
    _free_at_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def piece_bytes(self, size_bytes: int) -> int:
        """Return how many of *size_bytes* to send at a time."""
        if not self.bytes_per_s:
            return size_bytes
        return min(size_bytes, max(1, int(self.bytes_per_s * _PIECE_S)))

    def wait(self, size_bytes: int) -> None:
        """Wait until earlier bytes are within the limit, then count *size_bytes*."""
        if not self.bytes_per_s:
            return
        with self._lock:  # unused time is not saved up
            at_s = max(self._free_at_s, time.monotonic())
            self._free_at_s = at_s + size_bytes / self.bytes_per_s
        time.sleep(max(0.0, at_s - time.monotonic()))
