"""Directories that are watched with everything below, for as long as somebody follows them.

What is followed no longer keeps its watches while there are few, so that late files are seen at
once; where it has none, the next scan finds them.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deriva_watch.edges.watching.inotify import Inotify, Tree, identity, real

SPARE_WATCHES: Final = 4096  # for what is followed no longer
_Key = tuple[Path, str]


@dataclass(slots=True)
class _Followed:
    identity: tuple[int, int]
    tree: Tree


@dataclass(slots=True)
class Following:
    """What is followed by one reader."""

    inotify: Callable[[], Inotify | None]
    _followed: dict[_Key, _Followed] = field(default_factory=dict)
    _spare: dict[_Key, None] = field(default_factory=dict)  # followed no longer, the oldest first

    def follow(self, key: _Key, folder: Path) -> None:
        """Watch *folder*; what is watched already costs a stat."""
        inotify, found = self.inotify(), identity(folder)
        if inotify is None or found is None:
            return
        self._spare.pop(key, None)
        known = self._followed.get(key)
        if known is None or known.identity != found or not known.tree.watches:
            self.drop(key)
            known = _Followed(found, Tree(key[0], real(folder), key[1], deep=True))
            self._followed[key] = known
        elif known.tree.whole:
            return
        self.add(inotify, known.tree)

    def unfollow(self, key: _Key) -> None:
        """Let go of a directory."""
        known = self._followed.get(key)
        if known and known.tree.watches:
            self._spare[key] = None
            self._shed(SPARE_WATCHES)
        else:
            self.drop(key)  # it is gone from the disk

    def drop(self, key: _Key) -> None:
        """Take its watches away."""
        self._spare.pop(key, None)
        known, inotify = self._followed.pop(key, None), self.inotify()
        if known and inotify:
            inotify.remove(known.tree)

    def drop_all(self, prefix: Path) -> None:
        """Take away the watches of everything below a root."""
        for key in [key for key in self._followed if key[0] == prefix]:
            self.drop(key)

    def clear(self) -> None:
        """Forget everything: the reader is gone, and its watches with it."""
        self._followed.clear()
        self._spare.clear()

    def add(self, inotify: Inotify, tree: Tree) -> None:
        """Watch any *tree* as far as there are watches, at the cost of what may do without."""
        if not _is_whole(inotify, tree) and self._spare:
            self._shed(0)
            inotify.lacked = not _is_whole(inotify, tree)  # whatever else lacks some says so again

    def _shed(self, most: int) -> None:
        """Take watches from what is followed no longer until there are *most* in all."""
        inotify = self.inotify()
        while self._spare and inotify and len(inotify) > most:
            self.drop(next(iter(self._spare)))


def _is_whole(inotify: Inotify, tree: Tree) -> bool:
    """Watch *tree*; tell whether there were enough watches."""
    try:
        inotify.add(tree)
    except OSError as error:  # anything else: gone again, or not for us; the look says so
        if error.errno == errno.ENOSPC:
            inotify.lacked, tree.whole = True, False
    return tree.whole
