"""The directories that the caller follows: each is watched with everything below.

A directory that is no longer followed keeps its watches while there are few of them, so that late
files are seen at once. Without them, the next scan finds late files.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deriva_watch.edges.watching.inotify_watches import InotifyWatches
from deriva_watch.edges.watching.tree import Tree, identity

SPARE_WATCHES: Final = 4096  # above this, directories that are no longer followed lose theirs
_Key = tuple[Path, str]


@dataclass(slots=True)
class _Directory:
    identity: tuple[int, int]
    tree: Tree


@dataclass(slots=True)
class FollowedDirectories:
    """The followed directories, each with its watches.

    Attributes:
        watches: Returns the open inotify instance, or None while there is none.
    """

    watches: Callable[[], InotifyWatches | None]
    _directories: dict[_Key, _Directory] = field(default_factory=dict)
    _spare: dict[_Key, None] = field(default_factory=dict)  # no longer followed, oldest first

    def follow(self, key: _Key, folder: Path) -> None:
        """Watch *folder* and everything below; costs one stat if it is watched already."""
        watches, found = self.watches(), identity(folder)
        if watches is None or found is None:
            return
        self._spare.pop(key, None)
        known = self._directories.get(key)
        if known is None or known.identity != found or not known.tree.descriptors:
            self.drop(key)
            known = _Directory(found, Tree(key[0], os.path.realpath(folder), key[1]))
            self._directories[key] = known
        elif known.tree.complete:
            return
        self.add(watches, known.tree)

    def unfollow(self, key: _Key) -> None:
        """Keep the watches of a directory only while there are few."""
        known = self._directories.get(key)
        if known and known.tree.descriptors:
            self._spare[key] = None
            self._drop_spare(SPARE_WATCHES)
        else:
            self.drop(key)  # it was deleted

    def drop(self, key: _Key) -> None:
        """Remove the watches of a directory."""
        self._spare.pop(key, None)
        known, watches = self._directories.pop(key, None), self.watches()
        if known and watches is not None:
            watches.remove(known.tree)

    def drop_root(self, prefix: Path) -> None:
        """Remove the watches of all directories of a root."""
        for key in [key for key in self._directories if key[0] == prefix]:
            self.drop(key)

    def clear(self) -> None:
        """Forget all directories: the inotify instance is closed."""
        self._directories.clear()
        self._spare.clear()

    def add(self, watches: InotifyWatches, tree: Tree) -> None:
        """Watch *tree*, also one of a root; directories no longer followed make room for it."""
        if not _add(watches, tree) and self._spare:
            self._drop_spare(0)
            # Another tree that lacks watches sets it again when it is tried next.
            watches.exhausted = not _add(watches, tree)

    def _drop_spare(self, allowed: int) -> None:
        """Drop directories no longer followed until at most *allowed* folders are watched."""
        watches = self.watches()
        while self._spare and watches is not None and len(watches) > allowed:
            self.drop(next(iter(self._spare)))


def _add(watches: InotifyWatches, tree: Tree) -> bool:
    """Watch *tree*; return whether there were enough watches."""
    try:
        watches.add(tree)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            watches.exhausted, tree.complete = True, False
        # Otherwise it was deleted meanwhile or is not readable for us: the scan reports that.
    return tree.complete
