"""Directories that are finished: a rescan stats their folders, not their files.

A *frame* is the folders of a directory as a look found them. While they are what they were no name
came, went or was replaced. That a file grew in its place they do not show, so every directory is
looked at in full from time to time all the same.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import uniform
from typing import Final, Generic, TypeVar

from deriva_watch.core.observation import DirectoryStamp, Observation
from deriva_watch.edges import scanner

# Two changes within one tick of a file system's clock leave the same time behind: a frame counts
# once it was found again after longer than any such tick.
_TICK_S: Final = 2.5
K = TypeVar("K")


@dataclass(slots=True)
class _Frame:
    directories: Mapping[str, DirectoryStamp]
    found_s: float
    counts_until_s: float = 0.0  # 0: it was not found again yet


@dataclass(slots=True)
class Frames(Generic[K]):
    """The frames of finished directories, in memory: a start looks at everything anyway.

    Attributes:
        clock: Seconds that never go back.
    """

    clock: Callable[[], float] = time.monotonic
    _frames: dict[K, _Frame] = field(default_factory=dict)

    def keep(self, key: K, seen: Observation, full_s: float) -> None:
        """Take note of a full look at a finished directory, the next one due after *full_s*.

        Spread, so that not all of them are due at once.
        """
        now_s, frame = self.clock(), self._frames.get(key)
        if frame is None or frame.directories != seen.directories:
            self._frames[key] = _Frame(seen.directories, now_s)
        elif now_s - frame.found_s > _TICK_S:
            frame.counts_until_s = now_s + full_s * uniform(0.5, 1)  # noqa: S311

    def forget(self, key: K) -> None:
        """Look in full the next time."""
        self._frames.pop(key, None)

    def is_still(self, key: K) -> bool:
        """Tell whether a look at the directory can be spared."""
        frame = self._frames.get(key)
        return (
            frame is not None
            and self.clock() < frame.counts_until_s
            and scanner.same_directories(frame.directories)
        )
