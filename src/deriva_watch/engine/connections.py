"""Measures how fast objects are sent, and adapts the number of connections."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from deriva_watch.core.errors import ServerBusyError
from deriva_watch.core.stats.connections import Tuning
from deriva_watch.engine.fair_pool import FairPool

T = TypeVar("T")

_WINDOW_S: Final = 1.0  # shorter ones say little
_DOUBLING_S: Final = 0.25  # but enough to notice that twice as many connections pay
_ROUNDS: Final = 2  # requests of each connection in a window, at least
_REQUEST_BYTES: Final = 100_000  # a request costs as much as so many bytes


class Connections:
    """Sends objects and chunks; the threads of *pool* become as many as are worth it.

    Only the answers of the object store count. A catalog's 503 is an aborted transaction, not load.
    """

    def __init__(
        self, pool: FairPool, most: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool, self._now_s = pool, now_s
        self._lock = threading.Lock()
        self._tune(Tuning.up_to(most))

    @property
    def count(self) -> int:
        """How many are used now."""
        return self._tuning.connections

    def send(self, size_bytes: int, call: Callable[[], T]) -> T:
        """Return the result of *call*, which sends *size_bytes*."""
        begun = self._tuning
        try:
            result = call()
        except ServerBusyError:
            with self._lock:
                if self._tuning is begun:  # many calls fail at once: one of them counts
                    self._tune(begun.busy())
            raise
        with self._lock:
            self._count(size_bytes)
        return result

    def _count(self, size_bytes: int) -> None:
        if not self._pool.has_waiting:  # too little work shows nothing
            self._begin()
            return
        self._requests += 1
        self._bytes += size_bytes + _REQUEST_BYTES
        seconds = self._now_s() - self._began_s
        window_s = _DOUBLING_S if self._tuning.is_doubling else _WINDOW_S
        if seconds >= window_s and self._requests >= _ROUNDS * self.count:
            self._tune(self._tuning.after(self._bytes / seconds))

    def _tune(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._pool.resize(tuning.connections)
        self._begin()

    def _begin(self) -> None:
        self._began_s, self._bytes, self._requests = self._now_s(), 0, 0
