"""How fast bytes leave this machine, whoever sends them: all threads share one."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

_PIECE_S: Final = 0.5  # nobody waits for longer at a time, so that a stop is noticed


@dataclass(slots=True)
class Bandwidth:
    """Lets so many bytes through in a second; 0: as many as come."""

    bytes_per_s: int = 0
    _free_at_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def piece_bytes(self, size_bytes: int) -> int:
        """Return how many of *size_bytes* go at a time."""
        if not self.bytes_per_s:
            return size_bytes
        return min(size_bytes, max(1, int(self.bytes_per_s * _PIECE_S)))

    def wait(self, size_bytes: int) -> None:
        """Wait until what went before has had its time, then count *size_bytes* more."""
        if not self.bytes_per_s:
            return
        with self._lock:  # what nobody used is not saved up
            at_s = max(self._free_at_s, time.monotonic())
            self._free_at_s = at_s + size_bytes / self.bytes_per_s
        time.sleep(max(0.0, at_s - time.monotonic()))
