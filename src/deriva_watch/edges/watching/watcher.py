"""Hints from the file system: "something changed in this directory".

Hints are lost when the kernel's queue overflows, so nothing may depend on one: whoever hears of
trouble scans. `check` mends what can break without a word: a root that was removed, replaced or
unmounted, a thread that died, an overflow.

Watches are few: the roots, each alone, and what somebody follows, with everything below.
"""

import errno
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from deriva_watch.edges.watching import inotify_limits
from deriva_watch.edges.watching.following import Following
from deriva_watch.edges.watching.inotify import Hint, Inotify, Tree, identity, real
from deriva_watch.edges.watching.observer_choice import Mode, Probe, Wanted, Watched, choose
from deriva_watch.edges.watching.probe import probe

_REBUILD_PAUSE_S: Final = 10.0  # doubled each time
_REBUILD_PAUSE_MAX_S: Final = 300.0
_SAY_AGAIN_S: Final = 3600.0
_MISSING: Final = Watched(Mode.MISSING)
_RETRY_S: Final = 60.0
_STORM_OVERFLOWS: Final = 3  # so many overflows
_STORM_WITHIN_S: Final = 60.0  # in so long a time are a storm
_STORM_PAUSE_S: Final = 300.0  # and so long its root is only scanned
_OVERFLOW: Final = "the file system changed faster than its events could be read"
Trouble = Callable[[str | None, str], None]
_Identity = tuple[int, int] | None


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


@dataclass(slots=True)
class _Root:
    prefix: Path
    folders: tuple[Folder, ...]
    wanted: Wanted
    now: Watched = _MISSING
    found: list[_Identity] = field(default_factory=list)  # what is watched of the folders
    trees: list[Tree] = field(default_factory=list)
    retry_at: float | None = None  # where watching failed

    def look(self) -> list[_Identity]:
        return [identity(each.path) for each in self.folders]


class Watcher:
    """Watches roots, and the directories in them that somebody follows.

    Args:
        on_hint: Called with prefix and RID, in a thread of the watcher; must return at once.
        on_trouble: Called with a prefix, or None for all, and the reason why hints are missing;
            in the thread that calls `watch`, `follow` or `check`.
        clock: Seconds that never go back.
        probe: Tries what a folder can be trusted with.
    """

    def __init__(
        self,
        on_hint: Hint,
        on_trouble: Trouble,
        clock: Callable[[], float] = time.monotonic,
        probe: Probe = probe,
    ) -> None:
        self._on_hint = on_hint
        self._on_trouble = on_trouble
        self._clock = clock
        self._probe = probe
        self._roots: dict[Path, _Root] = {}
        self._following = Following(lambda: self._inotify)
        self._inotify: Inotify | None = None
        self._rebuild_at = -math.inf
        self._overflows: deque[float] = deque(maxlen=_STORM_OVERFLOWS)
        self._complete_at = -math.inf
        self._pause_s = _REBUILD_PAUSE_S
        self._told_of_limit_at = -_SAY_AGAIN_S

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
        root = self._roots.get(prefix)
        if root is None or root.now.mode is not Mode.NATIVE:
            return
        if not any(each.deep and folder.is_relative_to(each.path) for each in root.folders):
            self._following.follow((prefix, rid), folder)

    def unfollow(self, prefix: Path, rid: str) -> None:
        """Let go of a directory; it keeps its watches for as long as there are enough."""
        self._following.unfollow((prefix, rid))

    @property
    def watches(self) -> int:
        """How many folders are watched now."""
        return len(self._inotify) if self._inotify else 0

    def stop(self) -> None:
        """Stop watching; twice is fine."""
        inotify, self._inotify = self._inotify, None
        self._following.clear()
        for root in self._roots.values():
            root.trees.clear()
        if inotify:
            inotify.stop()
            inotify.join()

    # ------------------------------------------------------------------ what breaks

    def _mend(self, inotify: Inotify) -> None:
        self._complete(inotify)
        now = self._clock()
        if inotify.lacked and now >= self._told_of_limit_at + _SAY_AGAIN_S:
            self._told_of_limit_at, inotify.lacked = now, False
            self._on_trouble(None, _lack(errno.ENOSPC))
        why = _problem(inotify)
        if why and now >= self._rebuild_at:
            soon = now < self._rebuild_at + _REBUILD_PAUSE_MAX_S
            self._pause_s = (
                min(2 * self._pause_s, _REBUILD_PAUSE_MAX_S) if soon else _REBUILD_PAUSE_S
            )
            self._rebuild_at = now + self._pause_s
            if why is _OVERFLOW:
                self._count_overflow(inotify)
            self._rebuild()
            self._on_trouble(None, why)

    def _complete(self, inotify: Inotify) -> None:
        """Try again now and then to watch what of the roots lacked watches."""
        if self._clock() >= self._complete_at:
            self._complete_at = self._clock() + _RETRY_S
            for tree in (tree for root in self._roots.values() for tree in root.trees):
                if not tree.whole:
                    self._following.add(inotify, tree)

    def _rebuild(self) -> None:
        self.stop()
        for root in self._roots.values():
            if root.now.mode is Mode.NATIVE:
                root.now = self._start(root, root.now)

    def _count_overflow(self, inotify: Inotify) -> None:
        """Let the root that most events came from be scanned for a while, if there is no end."""
        now = self._clock()
        self._overflows.append(now)
        if len(self._overflows) < _STORM_OVERFLOWS or self._overflows[0] < now - _STORM_WITHIN_S:
            return
        self._overflows.clear()
        for prefix, _ in inotify.heard.most_common(1):
            root = self._roots[prefix]
            root.now = replace(root.now, mode=Mode.POLLING, why=f"{_OVERFLOW}, again and again")
            root.retry_at = now + _STORM_PAUSE_S

    def _arm(self, root: _Root) -> None:
        self._following.drop_all(root.prefix)
        self._uproot(root)
        root.retry_at = None
        root.found = root.look()
        root.now = self._start(root)

    def _start(self, root: _Root, chosen: Watched | None = None) -> Watched:
        """Watch a root as it was *chosen*; None: choose now."""
        if root.found[0] is None:
            return _MISSING
        folder = root.folders[0].path
        try:
            chosen = chosen or choose(folder, root.wanted, self._probe)
            if chosen.mode is Mode.NATIVE:
                self._inotify = self._inotify or Inotify(self._on_hint, "inotify")
                self._plant(root, self._inotify)
        except OSError as error:
            self._uproot(root)
            root.retry_at = self._clock() + _RETRY_S
            why = _lack(error.errno) or f"{folder}: {error.strerror}"
            if why != root.now.why:
                self._on_trouble(str(root.prefix), f"{why}; until then it is only scanned")
            return replace(chosen or root.now, mode=Mode.POLLING, why=why)
        return chosen

    def _uproot(self, root: _Root) -> None:
        for tree in root.trees:
            if self._inotify:
                self._inotify.remove(tree)
        root.trees.clear()

    def _plant(self, root: _Root, inotify: Inotify) -> None:
        for each, found in zip(root.folders, root.found, strict=True):
            if found is not None:
                folder = real(each.path)
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


def _lack(number: int | None) -> str:
    """Say which limit of the kernel is in the way, and how to raise it; "" where none is."""
    what = {errno.ENOSPC: "watches", errno.EMFILE: "instances"}.get(number or 0)
    if what is None:
        return ""
    return f"there are no inotify {what} left: raise the limit ({inotify_limits.remedy(what)})"
