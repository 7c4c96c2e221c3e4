"""Locks for contents, and for names of objects: each is used by one upload at a time."""

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from deriva_watch.liveness import waiting

_LOOK_S: Final = 0.5  # how often a waiting thread checks whether to stop


class ContentLocks:
    """The contents or names that uploads use at present; each is locked by one of them."""

    def __init__(self) -> None:
        """Start with none."""
        self._busy: set[Hashable] = set()
        self._freed = threading.Condition()

    def claim(self, keys: Iterable[Hashable]) -> set[Hashable]:
        """Lock and return those of *keys* that are free."""
        with self._freed:
            mine = set(keys) - self._busy
            self._busy |= mine
            return mine

    def release(self, keys: Iterable[Hashable]) -> None:
        """Unlock *keys* and wake up waiting threads."""
        with self._freed:
            self._busy -= set(keys)
            self._freed.notify_all()

    def wait(self) -> None:
        """Wait until a key is released, or for a moment."""
        with waiting(), self._freed:
            self._freed.wait(_LOOK_S)

    @contextmanager
    def locked(self, key: Hashable, check: Callable[[], object]) -> Iterator[None]:
        """Lock one key, and wait for it as long as *check* does not raise."""
        while not self.claim([key]):
            check()
            self.wait()
        try:
            yield
        finally:
            self.release([key])
