"""Hints from the file system: "something changed in this directory".

Hints are lost when the kernel's queue overflows, so nothing may depend on one: after trouble the
caller scans. `check` repairs what can break unnoticed at a root: it was removed, replaced or
unmounted. `repair` does so for all roots: a thread that died, an overflow.

There are few watches: one for each root, and those of the directories that the caller follows. A
root whose file system hangs holds up only the thread that calls for it.
"""

import errno
import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from deriva_watch.edges.watching import inotify_limits
from deriva_watch.edges.watching.followed import FollowedDirectories
from deriva_watch.edges.watching.hints import OnHint
from deriva_watch.edges.watching.inotify_watches import InotifyWatches
from deriva_watch.edges.watching.observer import Observer
from deriva_watch.edges.watching.observer_choice import Mode, Probe, Wanted, Watched, choose
from deriva_watch.edges.watching.probe import probe
from deriva_watch.edges.watching.tree import Tree, identity

_REBUILD_PAUSE_S: Final = 10.0  # doubled each time
_REBUILD_PAUSE_MAX_S: Final = 300.0
_SAY_AGAIN_S: Final = 3600.0
_MISSING: Final = Watched(Mode.MISSING)
_RETRY_S: Final = 60.0
_STORM_OVERFLOWS: Final = 3  # this many overflows
_STORM_WITHIN_S: Final = 60.0  # within this time are a storm
_STORM_PAUSE_S: Final = 300.0  # for this long its root is only scanned
_OVERFLOW: Final = "the file system changed faster than its events could be read"
OnTrouble = Callable[[str | None, str], None]
_Identity = tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a root.

    Attributes:
        path: Where it is.
        name: What hints name for a change anywhere below. None: only the folder itself is watched,
            and a hint names the entry that changed.
        loose: Without a name, a change of a file is a hint for `LOOSE`.
    """

    path: Path
    name: str | None = None
    loose: bool = False

    @property
    def recursive(self) -> bool:
        """Whether the folders below are watched too."""
        return self.name is not None


@dataclass(slots=True)
class _Root:
    prefix: Path
    folders: tuple[Folder, ...]
    wanted: Wanted
    now: Watched = _MISSING
    found: list[_Identity] = field(default_factory=list)  # of the folders that are watched
    observer: Observer | None = None  # that watches it by events
    trees: list[Tree] = field(default_factory=list)
    retry_at: float | None = None  # after a failure
    retry_incomplete_at: float = -math.inf
    told: tuple[list[_Identity], Watched] | None = None  # what the caller knows

    def identities(self) -> list[_Identity]:
        return [identity(each.path) for each in self.folders]


class Watcher:
    """Watches roots, and the directories in them that the caller follows.

    The methods about one root may be called by one thread for each root.

    Args:
        on_hint: Called with prefix and RID in a thread of the watcher; must return at once.
        on_trouble: Called with a prefix, or None for all, and the reason why hints are missing;
            in the thread that calls `watch`, `check` or `repair`.
        clock: Returns seconds of a monotonic clock.
        probe: Tests whether events arrive in a folder.
    """

    def __init__(
        self,
        on_hint: OnHint,
        on_trouble: OnTrouble,
        clock: Callable[[], float] = time.monotonic,
        probe: Probe = probe,
    ) -> None:
        self._on_hint = on_hint
        self._on_trouble = on_trouble
        self._clock = clock
        self._probe = probe
        self._roots: dict[Path, _Root] = {}
        self._followed = FollowedDirectories(lambda: self._watches)
        self._observer: Observer | None = None
        self._rebuild_at = -math.inf
        self._overflows: deque[float] = deque(maxlen=_STORM_OVERFLOWS)
        self._lock = threading.Lock()
        self._pause_s = _REBUILD_PAUSE_S
        self._told_of_limit_at = -_SAY_AGAIN_S

    def watch(self, prefix: Path, folders: tuple[Folder, ...], wanted: Wanted = "auto") -> Watched:
        """Start to watch a root; scan it afterwards for changes that came before.

        The root counts as missing if the first of *folders* is; the others may come and go.
        "auto" polls where events do not arrive: on network and FUSE file systems.
        """
        root = self._roots[prefix] = _Root(prefix, folders, wanted)
        self._arm(root)
        root.told = root.found, root.now
        return root.now

    def check(self, prefix: Path) -> Watched | None:
        """Repair what broke at a root; return how it is watched now if that changed.

        Scan it then. Call it about once a second.
        """
        root, found = self._roots[prefix], self._roots[prefix].identities()
        is_due = root.retry_at is not None and self._clock() >= root.retry_at
        if is_due or found != root.found:
            self._arm(root)
        elif root.now.mode is Mode.NATIVE and root.observer is not self._observer:
            self._remove_trees(root)
            root.now = self._start(root, root.now)
        elif root.observer is not None:
            self._retry_incomplete(root, root.observer.watches)
        if root.told == (root.found, root.now):
            return None
        root.told = root.found, root.now
        return root.now

    def repair(self) -> None:
        """Repair what broke for all roots; call it about once a second, by one thread.

        After trouble each root is watched again at its next `check`.
        """
        if self._observer:
            self._report_limit(self._observer.watches)
            self._repair(self._observer)

    def follow(self, prefix: Path, rid: str, folder: Path) -> None:
        """Watch a directory and everything below; scan it afterwards.

        Call it for every scan: a directory that is watched already costs one stat.
        """
        root = self._roots.get(prefix)
        if root is None or root.now.mode is not Mode.NATIVE:
            return
        if not any(each.recursive and folder.is_relative_to(each.path) for each in root.folders):
            self._followed.follow((prefix, rid), folder)

    def unfollow(self, prefix: Path, rid: str) -> None:
        """Stop following a directory; it keeps its watches while there are few."""
        self._followed.unfollow((prefix, rid))

    @property
    def watches(self) -> int:
        """How many folders are watched now."""
        return 0 if self._watches is None else len(self._watches)

    def stop(self) -> None:
        """Stop watching; a second call does nothing."""
        with self._lock:
            observer, self._observer = self._observer, None
        self._followed.clear()
        if observer:
            observer.close()

    @property
    def _watches(self) -> InotifyWatches | None:
        return self._observer.watches if self._observer else None

    # ------------------------------------------------------------------ repairs

    def _report_limit(self, watches: InotifyWatches) -> None:
        now = self._clock()
        if watches.exhausted and now >= self._told_of_limit_at + _SAY_AGAIN_S:
            self._told_of_limit_at, watches.exhausted = now, False
            self._on_trouble(None, _limit_reached(errno.ENOSPC))

    def _repair(self, observer: Observer) -> None:
        """Replace an observer that lost events or a thread, less often if it keeps failing."""
        now, why = self._clock(), _problem(observer)
        if why is None or now < self._rebuild_at:
            return
        soon = now < self._rebuild_at + _REBUILD_PAUSE_MAX_S
        self._pause_s = min(2 * self._pause_s, _REBUILD_PAUSE_MAX_S) if soon else _REBUILD_PAUSE_S
        self._rebuild_at = now + self._pause_s
        if why is _OVERFLOW:
            self._count_overflow(observer.emitter.heard)
        self.stop()
        self._on_trouble(None, why)

    def _retry_incomplete(self, root: _Root, watches: InotifyWatches) -> None:
        """Try every minute to watch the folders of a root for which there were no watches."""
        if self._clock() >= root.retry_incomplete_at:
            root.retry_incomplete_at = self._clock() + _RETRY_S
            for tree in root.trees:
                if not tree.complete:
                    self._followed.add(watches, tree)

    def _count_overflow(self, heard: Counter[Path]) -> None:
        """After repeated overflows, only scan the root with the most events for a while."""
        now = self._clock()
        self._overflows.append(now)
        if len(self._overflows) < _STORM_OVERFLOWS or self._overflows[0] < now - _STORM_WITHIN_S:
            return
        self._overflows.clear()
        for prefix, _ in heard.most_common(1):
            root = self._roots[prefix]
            root.now = replace(root.now, mode=Mode.POLLING, why=f"{_OVERFLOW}, again and again")
            root.retry_at = now + _STORM_PAUSE_S

    # ------------------------------------------------------------------ roots

    def _arm(self, root: _Root) -> None:
        self._followed.drop_root(root.prefix)
        self._remove_trees(root)
        root.retry_at = None
        root.found = root.identities()
        root.now = self._start(root)

    def _start(self, root: _Root, chosen: Watched | None = None) -> Watched:
        """Watch a root as *chosen* earlier; None: choose now."""
        if root.found[0] is None:
            return _MISSING
        folder = root.folders[0].path
        try:
            chosen = chosen or choose(folder, root.wanted, self._probe)
            if chosen.mode is Mode.NATIVE:
                root.observer = self._opened()
                self._add_trees(root, root.observer.watches)
        except OSError as error:
            self._remove_trees(root)
            root.retry_at = self._clock() + _RETRY_S
            why = _limit_reached(error.errno) or f"{folder}: {error.strerror}"
            if why != root.now.why:
                self._on_trouble(str(root.prefix), f"{why}; until then it is only scanned")
            return replace(chosen or root.now, mode=Mode.POLLING, why=why)
        return chosen

    def _opened(self) -> Observer:
        """Return the observer of all roots. Raises OSError if this user may have none."""
        with self._lock:
            self._observer = self._observer or Observer(self._on_hint, supervised=True)
            return self._observer

    def _add_trees(self, root: _Root, watches: InotifyWatches) -> None:
        for each, found in zip(root.folders, root.found, strict=True):
            if found is not None:
                path = os.path.realpath(each.path)
                tree = Tree(root.prefix, path, each.name, each.loose)
                root.trees.append(tree)
                watches.add(tree)

    def _remove_trees(self, root: _Root) -> None:
        if root.observer is not None:  # it may be closed
            for tree in root.trees:
                root.observer.watches.remove(tree)
        root.trees.clear()


def _problem(observer: Observer) -> str | None:
    """Return why the observer must be replaced, or None."""
    if observer.has_ended:
        return "the thread that watches the file system died"
    if observer.handler.overflowed:
        return _OVERFLOW
    failure = observer.handler.failure
    return f"a change could not be reported: {failure}" if failure else None


def _limit_reached(number: int | None) -> str:
    """Return which inotify limit an error number stands for and how to raise it, or ""."""
    what = {errno.ENOSPC: "watches", errno.EMFILE: "instances"}.get(number or 0)
    if what is None:
        return ""
    return f"there are no inotify {what} left: raise the limit ({inotify_limits.remedy(what)})"
