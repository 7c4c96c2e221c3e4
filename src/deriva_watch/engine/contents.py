"""Who works on which content: two files that say the same become one object and one row."""

import threading
from collections.abc import Hashable, Iterable

_LOOK_S = 0.5  # how often a waiter looks whether the work shall stop


class Contents:
    """The contents that some worker is bringing in at this moment."""

    def __init__(self) -> None:
        """Begin with none."""
        self._busy: set[Hashable] = set()
        self._freed = threading.Condition()

    def claim(self, keys: Iterable[Hashable]) -> set[Hashable]:
        """Take those of *keys* that nobody works on."""
        with self._freed:
            mine = set(keys) - self._busy
            self._busy |= mine
            return mine

    def release(self, keys: Iterable[Hashable]) -> None:
        """Give them back; whoever waits looks again."""
        with self._freed:
            self._busy -= set(keys)
            self._freed.notify_all()

    def wait(self) -> None:
        """Wait until something is given back, or a moment has passed."""
        with self._freed:
            self._freed.wait(_LOOK_S)
