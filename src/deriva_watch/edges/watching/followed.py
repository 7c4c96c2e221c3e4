"""The directories that the caller follows: each is watched with everything below.

A directory that is no longer followed keeps its watches while there are few of them, so that late
files are seen at once. Without them, the next scan finds late files.
"""

import errno
import os
import threading
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
    watches: InotifyWatches  # that it has watches of


@dataclass(slots=True)
class FollowedDirectories:
    """The followed directories, each with its watches. Each root may have a thread that calls.

    Attributes:
        watches: Returns the open inotify instance, or None while there is none.
    """

    watches: Callable[[], InotifyWatches | None]
    _directories: dict[_Key, _Directory] = field(default_factory=dict)
    _spare: dict[_Key, None] = field(default_factory=dict)  # no longer followed, oldest first
    _lock: threading.Lock = field(default_factory=threading.Lock)  # of the spare ones

    def follow(self, key: _Key, folder: Path) -> None:
        """Watch *folder* and everything below; costs one stat if it is watched already."""
        watches, found = self.watches(), identity(folder)
        if watches is None or found is None:
            return
        self._keep(key)
        known = self._directories.get(key)
        if known is None or not _is_watched(known, found, watches):
            self.drop(key)
            tree = Tree(key[0], os.path.realpath(folder), key[1])
            known = self._directories[key] = _Directory(found, tree, watches)
        elif known.tree.complete:
            return
        self.add(watches, known.tree)

    def unfollow(self, key: _Key) -> None:
        """Keep the watches of a directory only while there are few."""
        known = self._directories.get(key)
        if known and known.tree.descriptors:
            with self._lock:
                self._spare[key] = None
            self._drop_spare(SPARE_WATCHES)
        else:
            self.drop(key)  # it was deleted

    def drop(self, key: _Key) -> None:
        """Remove the watches of a directory."""
        self._keep(key)
        if known := self._directories.pop(key, None):
            known.watches.remove(known.tree)

    def drop_root(self, prefix: Path) -> None:
        """Remove the watches of all directories of a root."""
        for key in list(self._directories):
            if key[0] == prefix:
                self.drop(key)

    def clear(self) -> None:
        """Forget all directories: the inotify instance is closed."""
        with self._lock:
            self._directories.clear()
            self._spare.clear()

    def add(self, watches: InotifyWatches, tree: Tree) -> None:
        """Watch *tree*, also one of a root; directories no longer followed make room for it."""
        if not _add(watches, tree) and self._spare:
            self._drop_spare(0)
            # Another tree that lacks watches sets it again when it is tried next.
            watches.exhausted = not _add(watches, tree)

    def _keep(self, key: _Key) -> None:
        with self._lock:
            self._spare.pop(key, None)

    def _drop_spare(self, allowed: int) -> None:
        """Drop directories no longer followed until at most *allowed* folders are watched."""
        watches = self.watches()
        while watches is not None and len(watches) > allowed:
            with self._lock:
                oldest = next(iter(self._spare), None)
            if oldest is None:
                return
            self.drop(oldest)


def _is_watched(known: _Directory, found: tuple[int, int], watches: InotifyWatches) -> bool:
    """Return whether a directory is the one that was *found*, and has watches of *watches*."""
    is_same = known.identity == found and known.watches is watches
    return is_same and bool(known.tree.descriptors)


def _add(watches: InotifyWatches, tree: Tree) -> bool:
    """Watch *tree*; return whether there were enough watches."""
    try:
        watches.add(tree)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            watches.exhausted, tree.complete = True, False
        # Otherwise it was deleted meanwhile or is not readable for us: the scan reports that.
    return tree.complete
