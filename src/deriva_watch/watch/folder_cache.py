"""Directories that are finished: a rescan stats their folders, not their files.

A *frame* is the folders of a directory as a look found them. While they are what they were no name
came, went or was replaced. That a file grew in its place they do not show, so every directory is
looked at in full from time to time all the same.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import uniform
from typing import Final, Generic, TypeVar

from deriva_watch.core.completeness.observation import DirectoryStamp, Observation
from deriva_watch.edges.disk import scanner
from deriva_watch.edges.watching import mounts

# Two changes within one tick of a file system's clock leave the same time behind: a frame counts
# once it was found again after longer than any such tick.
_TICK_S: Final = 2.5
_LONG_S: Final = 3600.0  # what has not changed for so long is past any tick, and any clock's error
K = TypeVar("K")


@dataclass(slots=True)
class _Frame:
    directories: Mapping[str, DirectoryStamp]
    found_s: float
    spread: float = field(default_factory=lambda: uniform(0.5, 1))  # noqa: S311  # not all at once
    sure_s: float | None = None  # since when it counts


@dataclass(slots=True)
class FolderCache(Generic[K]):
    """The frames of finished directories, in memory: a start looks at everything anyway.

    Attributes:
        clock: Seconds that never go back.
    """

    clock: Callable[[], float] = time.monotonic
    _frames: dict[K, _Frame] = field(default_factory=dict)
    _dated: dict[int, bool] = field(default_factory=dict)  # by device

    def keep(self, key: K, seen: Observation) -> None:
        """Take note of a full look at a finished directory."""
        now_s, frame = self.clock(), self._frames.get(key)
        if frame is None or frame.directories != seen.directories:
            frame = self._frames[key] = _Frame(seen.directories, now_s)
        is_sure = now_s - frame.found_s > _TICK_S or _age_s(seen) > _LONG_S
        if is_sure and self._are_dated(seen):
            frame.sure_s = now_s

    def forget(self, key: K) -> None:
        """Look in full the next time."""
        self._frames.pop(key, None)

    def clear(self) -> None:
        """Look at every directory in full the next time."""
        self._frames.clear()

    def is_still(self, key: K, full_s: float) -> bool:
        """Tell whether a look can be spared: for *full_s* after the last full one at most."""
        frame = self._frames.get(key)
        return (
            frame is not None
            and frame.sure_s is not None
            and self.clock() < frame.sure_s + full_s * frame.spread
            and scanner.same_directories(frame.directories)
        )

    def _are_dated(self, seen: Observation) -> bool:
        for path, (_, device, _) in seen.directories.items():
            if device not in self._dated:
                self._dated[device] = mounts.dates_directories(mounts.file_system(Path(path)))
        return all(self._dated[device] for _, device, _ in seen.directories.values())


def _age_s(seen: Observation) -> float:
    """Return for how long no folder had changed when it was looked at."""
    last_ns = max((changed_ns for changed_ns, _, _ in seen.directories.values()), default=0)
    return seen.looked_at.timestamp() - last_ns / 1e9
