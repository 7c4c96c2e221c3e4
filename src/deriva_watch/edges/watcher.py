"""Hints from the file system: "something changed in this directory".

Hints are lost when the kernel's queue overflows, so nothing may depend on one: whoever hears of
trouble scans. `check` mends what can break without a word: a root that was removed, replaced or
unmounted, a thread that died, an overflow.

Watches are few: the roots, each alone, and what somebody follows, with everything below. What is
followed no longer keeps its watches while there are few of that kind, so that late files are seen
at once; where it has none, the next scan finds them.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from deriva_watch.edges.inotify import Hint, Inotify, Tree
from deriva_watch.edges.mounts import file_system, is_remote

_REBUILD_PAUSE_S: Final = 10.0
_RETRY_S: Final = 60.0
_STORM_OVERFLOWS: Final = 3  # so many overflows
_STORM_WITHIN_S: Final = 60.0  # in so long a time are a storm
_STORM_PAUSE_S: Final = 300.0  # and so long its root is only scanned
_SPARE_WATCHES: Final = 4096  # for what is followed no longer
_OVERFLOW: Final = "the file system changed faster than its events could be read"
_LIMITS: Final = {
    errno.ENOSPC: "there are no inotify watches left: raise fs.inotify.max_user_watches"
    " (sysctl -w fs.inotify.max_user_watches=1048576)",
    errno.EMFILE: "there are no inotify instances left: raise fs.inotify.max_user_instances"
    " (sysctl -w fs.inotify.max_user_instances=1024)",
}

Wanted = Literal["auto", "native", "polling"]
Trouble = Callable[[str | None, str], None]
Identity = tuple[int, int]


class Mode(StrEnum):
    """How a root is watched."""

    NATIVE = "native"  # by events
    POLLING = "polling"  # by the periodic scan alone
    MISSING = "missing"  # it is not there; `check` sees it come


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to watch from the start.

    Attributes:
        path: Where it is.
        name: What hints name; None: the first level below it.
        deep: With everything below.
        loose: Files in the folder itself are hints for `LOOSE`.
    """

    path: Path
    name: str | None = None
    deep: bool = False
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Watched:
    """How a root is watched, and why so."""

    mode: Mode
    why: str = ""
    file_system: str = ""


@dataclass(slots=True)
class _Root:
    prefix: Path
    folders: tuple[Folder, ...]
    wanted: Wanted
    now: Watched = Watched(Mode.MISSING)
    found: list[Identity | None] = field(default_factory=list)  # what is watched of the folders
    trees: list[Tree] = field(default_factory=list)
    retry_at: float | None = None  # where watching failed

    def look(self) -> list[Identity | None]:
        return [_identity(each.path) for each in self.folders]


@dataclass(slots=True)
class _Followed:
    identity: Identity
    tree: Tree


class Watcher:
    """Watches roots, and the directories in them that somebody follows.

    Args:
        on_hint: Called with prefix and RID, in a thread of the watcher; must return at once.
        on_trouble: Called with a prefix, or None for all, and the reason why hints are missing;
            in the thread that calls `watch`, `follow` or `check`.
        clock: Seconds that never go back.
    """

    def __init__(
        self, on_hint: Hint, on_trouble: Trouble, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_hint = on_hint
        self._on_trouble = on_trouble
        self._clock = clock
        self._roots: dict[Path, _Root] = {}
        self._followed: dict[tuple[Path, str], _Followed] = {}
        self._spare: dict[tuple[Path, str], None] = {}  # followed no longer, the oldest first
        self._inotify: Inotify | None = None
        self._rebuild_at = -_REBUILD_PAUSE_S
        self._overflows: deque[float] = deque(maxlen=_STORM_OVERFLOWS)
        self._told_of_limit = False

    def watch(self, prefix: Path, folders: tuple[Folder, ...], wanted: Wanted = "auto") -> Watched:
        """Begin to watch; scan afterwards, or what came before is missed.

        The first of *folders* decides whether the root is there; the others may come and go.
        "auto" polls where events do not arrive: on network and FUSE file systems.
        """
        root = self._roots[prefix] = _Root(prefix, folders, wanted)
        self._arm(root)
        return root.now

    def check(self) -> dict[Path, Watched]:
        """Mend what broke, and return the roots that came, went or are watched otherwise now.

        Scan them; after trouble scan all. Call it about once a second.
        """
        before = {root.prefix: (root.found, root.now) for root in self._roots.values()}
        for root in self._roots.values():
            failed = root.retry_at is not None and self._clock() >= root.retry_at
            if failed or root.look() != root.found:
                self._arm(root)
        if self._inotify:
            self._mend(self._inotify)
        return {
            root.prefix: root.now
            for root in self._roots.values()
            if before[root.prefix] != (root.found, root.now)
        }

    def follow(self, prefix: Path, rid: str, folder: Path) -> None:
        """Watch a directory with everything below; look at it afterwards or again some time.

        It may be called for every look: what is followed already costs a stat.
        """
        key = (prefix, rid)
        root, identity = self._roots.get(prefix), _identity(folder)
        if root is None or identity is None or self._inotify is None:
            return
        if root.now.mode is not Mode.NATIVE or any(_covers(each, folder) for each in root.folders):
            return
        self._spare.pop(key, None)
        followed = self._followed.get(key)
        if followed and followed.identity == identity and followed.tree.watches:
            return
        self._drop(key)
        tree = Tree(prefix, _real(folder), rid, deep=True)
        self._followed[key] = _Followed(identity, tree)
        self._add(self._inotify, tree)

    def unfollow(self, prefix: Path, rid: str) -> None:
        """Let go of a directory; it keeps its watches for as long as there are enough."""
        key = (prefix, rid)
        if key in self._followed:
            self._spare[key] = None
            self._shed(_SPARE_WATCHES)

    def stop(self) -> None:
        """Stop watching; twice is fine."""
        inotify, self._inotify = self._inotify, None
        self._followed.clear()
        self._spare.clear()
        for root in self._roots.values():
            root.trees.clear()
        if inotify:
            inotify.stop()
            inotify.join()

    # ------------------------------------------------------------------ what is followed

    def _add(self, inotify: Inotify, tree: Tree) -> None:
        """Watch *tree* as far as there are watches, at the cost of what may do without."""
        try:
            if not inotify.add(tree) and self._spare:
                self._shed(0)
                inotify.add(tree)
        except OSError as error:
            inotify.lacked |= error.errno == errno.ENOSPC
            # Anything else: it is gone again, or not for us; the look says so.

    def _shed(self, most: int) -> None:
        """Take watches from what is followed no longer until there are *most* in all."""
        while self._spare and self._inotify and len(self._inotify) > most:
            self._drop(next(iter(self._spare)))

    def _drop(self, key: tuple[Path, str]) -> None:
        self._spare.pop(key, None)
        followed = self._followed.pop(key, None)
        if followed and self._inotify:
            self._inotify.remove(followed.tree)

    # ------------------------------------------------------------------ what breaks

    def _mend(self, inotify: Inotify) -> None:
        if inotify.lacked and not self._told_of_limit:
            self._told_of_limit = True
            self._on_trouble(None, _LIMITS[errno.ENOSPC])
        why = _problem(inotify)
        if why and self._clock() >= self._rebuild_at:
            self._rebuild_at = self._clock() + _REBUILD_PAUSE_S
            if why is _OVERFLOW:
                self._count_overflow(inotify)
            self.stop()
            for root in self._roots.values():
                if root.retry_at is None:
                    self._arm(root)
            self._on_trouble(None, why)

    def _count_overflow(self, inotify: Inotify) -> None:
        """Let the root that most events came from be scanned for a while, if there is no end."""
        now = self._clock()
        self._overflows.append(now)
        if len(self._overflows) < _STORM_OVERFLOWS or self._overflows[0] < now - _STORM_WITHIN_S:
            return
        self._overflows.clear()
        for prefix, _ in inotify.heard.most_common(1):
            root = self._roots[prefix]
            root.now = Watched(Mode.POLLING, f"{_OVERFLOW}, again and again", root.now.file_system)
            root.retry_at = now + _STORM_PAUSE_S

    def _arm(self, root: _Root) -> None:
        for key in [key for key in self._followed if key[0] == root.prefix]:
            self._drop(key)
        self._uproot(root)
        root.retry_at = None
        root.found = root.look()
        root.now = self._start(root)

    def _start(self, root: _Root) -> Watched:
        if root.found[0] is None:
            return Watched(Mode.MISSING)
        folder = root.folders[0].path
        kind = ""
        try:
            kind = file_system(folder)
            if root.wanted == "polling":
                return Watched(Mode.POLLING, "by the settings", kind)
            if root.wanted == "auto" and is_remote(kind):
                why = f"others can change {kind} without an event here"
                return Watched(Mode.POLLING, why, kind)
            self._inotify = self._inotify or Inotify(self._on_hint)
            self._plant(root, self._inotify)
        except OSError as error:
            self._uproot(root)
            root.retry_at = self._clock() + _RETRY_S
            self._told_of_limit |= error.errno == errno.ENOSPC
            why = _LIMITS.get(error.errno or 0) or f"{folder}: {error.strerror}"
            self._on_trouble(str(root.prefix), f"{why}; until then it is only scanned")
            return Watched(Mode.POLLING, why, kind)
        return Watched(Mode.NATIVE, "", kind)

    def _uproot(self, root: _Root) -> None:
        for tree in root.trees:
            if self._inotify:
                self._inotify.remove(tree)
        root.trees.clear()

    def _plant(self, root: _Root, inotify: Inotify) -> None:
        for each, found in zip(root.folders, root.found, strict=True):
            if found is not None:
                folder = _real(each.path)
                tree = Tree(root.prefix, folder, each.name, deep=each.deep, loose=each.loose)
                root.trees.append(tree)
                inotify.add(tree)


def _problem(inotify: Inotify) -> str | None:
    """Say why it has to be built anew, or None."""
    if not inotify.is_alive():
        return "the thread that watches the file system died"
    if inotify.overflowed:
        return _OVERFLOW
    return f"a hint could not be taken: {inotify.failure}" if inotify.failure else None


def _covers(each: Folder, folder: Path) -> bool:
    return each.deep and folder.is_relative_to(each.path)


def _identity(folder: Path) -> Identity | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _real(folder: Path) -> bytes:
    return os.fsencode(os.path.realpath(folder))
