"""A cache of the folders of finished units, so that a rescan stats the folders and not the files.

While the folders are unchanged, no name in them was added, removed or replaced. They do not show
that a file grew in place, so every unit is still looked at in full from time to time.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import uniform
from typing import Final, Generic, TypeVar

from deriva_watch.core.completeness.observation import DirectoryStamp, Observation
from deriva_watch.edges.disk.scanning import scanner
from deriva_watch.edges.watching import mounts

# Two changes within one tick of a file system's clock leave the same time. So folders are trusted
# only once they were found unchanged after longer than any such tick.
_TICK_S: Final = 2.5
_LONG_S: Final = 3600.0  # longer than any tick, and any error of a clock
K = TypeVar("K")


@dataclass(slots=True)
class _Folders:
    directories: Mapping[str, DirectoryStamp]
    found_s: float
    spread: float = field(default_factory=lambda: uniform(0.5, 1))  # noqa: S311  # not all at once
    trusted_s: float | None = None  # when they were last found in full and trusted


@dataclass(slots=True)
class FolderCache(Generic[K]):
    """The folders of finished units, in memory: a start looks at everything anyway.

    Attributes:
        clock: Seconds that never go back.
    """

    clock: Callable[[], float] = time.monotonic
    _known: dict[K, _Folders] = field(default_factory=dict)
    _dated: dict[int, bool] = field(default_factory=dict)  # by device

    def keep(self, key: K, seen: Observation) -> None:
        """Keep the folders that a full look at a finished unit has found."""
        now_s, folders = self.clock(), self._known.get(key)
        if folders is None or folders.directories != seen.directories:
            folders = self._known[key] = _Folders(seen.directories, now_s)
        is_trusted = now_s - folders.found_s > _TICK_S or _age_s(seen) > _LONG_S
        if is_trusted and self._are_dated(seen):
            folders.trusted_s = now_s

    def forget(self, key: K) -> None:
        """Look in full the next time."""
        self._known.pop(key, None)

    def clear(self) -> None:
        """Look at every directory in full the next time."""
        self._known.clear()

    def is_still(self, key: K, full_s: float) -> bool:
        """Return whether a look can be skipped: at most for *full_s* after the last full one."""
        folders = self._known.get(key)
        return (
            folders is not None
            and folders.trusted_s is not None
            and self.clock() < folders.trusted_s + full_s * folders.spread
            and scanner.same_directories(folders.directories)
        )

    def _are_dated(self, seen: Observation) -> bool:
        for path, (_, device, _) in seen.directories.items():
            if device not in self._dated:
                self._dated[device] = mounts.dates_directories(mounts.file_system(Path(path)))
        return all(self._dated[device] for _, device, _ in seen.directories.values())


def _age_s(seen: Observation) -> float:
    """Return how long ago a folder had last changed at the time of the look, in seconds."""
    last_ns = max((changed_ns for changed_ns, _, _ in seen.directories.values()), default=0)
    return seen.looked_at.timestamp() - last_ns / 1e9
