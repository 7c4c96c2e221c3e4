"""Watches of the kernel's: one inotify instance, one thread that reads it, any number of folders.

The reader is watchdog's. What lies above it in watchdog is not used: its emitters are a thread per
watched tree, hold every event back for half a second, look at all of them for every rename, and
answer an overflow by taking all watches down and up again, which overflows again. An event here
is only a hint, so nothing needs to be paired, ordered or kept.
"""

import ctypes
import errno
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from watchdog.observers.inotify_c import (
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    WatchDescriptor,
    inotify_add_watch,
    inotify_rm_watch,
)

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.core.layout import LOOSE
from deriva_watch.liveness import beat, begin, end, waiting

# Growing is no event: a file that is only appended to would send one for every write.
_MASK: Final = (
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_ATTRIB  # somebody may have been let in
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
    | InotifyConstants.IN_EXCL_UNLINK
)
_CAME: Final = (
    InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_ATTRIB
)
_OWN: Final = OWN_PREFIX.encode()

Hint = Callable[[Path, str], None]


@dataclass(eq=False, slots=True)
class Tree:
    """A folder that is watched, alone or with everything below.

    Attributes:
        prefix: What its hints name first.
        folder: Its path, without links: inotify follows none.
        name: What its hints name second; None: the first level below the folder.
        deep: With everything below.
        loose: Files in the folder itself are hints for `LOOSE`.
        watches: Its descriptors.
        whole: There were enough watches for all of it.
        removed: It is not watched any more, whatever the reader is about to add.
    """

    prefix: Path
    folder: bytes
    name: str | None = None
    deep: bool = False
    loose: bool = False
    watches: set[WatchDescriptor] = field(default_factory=set)
    whole: bool = True
    removed: bool = False


class Inotify(InotifyFD):
    """The reader, running from the start; `stop` and `join` end it.

    Args:
        on_hint: Called with what an event is a hint for.
        name: What its thread is known as, where that must show that it lives.

    Attributes:
        overflowed: The kernel dropped events.
        lacked: There were no watches left for a folder below one that is watched.
        failure: Why an event could not be taken; the reader goes on.
        heard: How many events each prefix had.

    Raises OSError where no instance can be had.
    """

    def __init__(self, on_hint: Hint, name: str | None = None) -> None:
        super().__init__()
        self._known_as = name
        self.overflowed = False
        self.lacked = False
        self.failure: str | None = None
        self.heard: Counter[Path] = Counter()
        self._on_hint = on_hint
        self._mine = threading.Lock()  # watchdog's own is not held while we list folders
        self._places: dict[WatchDescriptor, dict[Tree, bytes]] = {}
        self._hinted: set[tuple[Tree, str]] = set()  # since the last reading
        self.start()

    def __len__(self) -> int:
        """Return how many folders are watched."""
        return len(self._places)

    def add(self, tree: Tree) -> None:
        """Watch *tree*; what came before is not told.

        Raises OSError where its folder itself cannot be watched.
        """
        tree.whole = True
        self._watch(tree, tree.folder)
        if tree.deep:
            self._add_below(tree, tree.folder)

    def remove(self, tree: Tree) -> None:
        """Watch it no longer; folders that another tree shares stay watched."""
        with self._mine:
            tree.removed, tree.whole = True, False
            for watch in tree.watches:
                places = self._places.get(watch, {})
                places.pop(tree, None)
                if not places and self._places.pop(watch, None) is not None:
                    inotify_rm_watch(self._inotify_fd, watch)
            tree.watches.clear()

    def run(self) -> None:
        """Read until told to stop; what ends it otherwise leaves nothing open after `stop`."""
        if self._known_as:
            begin(self._known_as)
        try:
            super().run()
            end()
        except BaseException:
            self._is_reading = False  # or `close` would wait for this thread to close them
            raise

    def read_events(self, **options: Any) -> list[InotifyEvent]:
        """Return the next events; all of them came before any hint that one of them leads to."""
        with waiting():
            found = super().read_events(**options)
        self._hinted.clear()
        return found

    def handle_event(self, event: InotifyEvent) -> None:
        """Turn an event into hints; called by the reader, which nothing here may end."""
        beat()
        if event.is_queue_overflow:
            self.overflowed = True
            return
        try:
            if event.is_ignored:
                self._forget(event.wd)
                return
            if not event.name or event.name.startswith(_OWN):
                return  # a change of the folder itself is told by the one above it
            with self._mine:
                places = list(self._places.get(event.wd, {}).items())
            for tree, folder in places:
                self.heard[tree.prefix] += 1
                subject = _subject(tree, folder, event)
                if tree.deep and event.is_directory and event.mask & _CAME:
                    self._follow(tree, os.path.join(folder, event.name))  # noqa: PTH118  # bytes
                elif (tree, subject) in self._hinted:
                    continue
                self._hinted.add((tree, subject))
                self._on_hint(tree.prefix, subject)
        except Exception as error:  # noqa: BLE001 - it would end the thread of all roots
            self.failure = repr(error)

    def _follow(self, tree: Tree, folder: bytes) -> None:
        """Watch a folder that came, before its hint: what is in it already, the look finds."""
        if self._watch_if_possible(tree, folder):
            self._add_below(tree, folder)

    def _add_below(self, tree: Tree, top: bytes) -> None:
        """Watch all folders below *top*, as far as there are watches."""
        pending = _folders(top)
        while pending and tree.whole:
            folder = pending.pop()
            if self._watch_if_possible(tree, folder):
                pending += _folders(folder)

    def _watch_if_possible(self, tree: Tree, folder: bytes) -> bool:
        try:
            self._watch(tree, folder)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self.lacked, tree.whole = True, False
            return False  # anything else: gone again, or not for us; the look says so
        return True

    def _watch(self, tree: Tree, folder: bytes) -> None:
        """Watch one folder; the second time only its path is new. Raises OSError."""
        with self._mine:
            if tree.removed:
                return
            watch = inotify_add_watch(self._inotify_fd, folder, _MASK)
            if watch == -1:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), os.fsdecode(folder))
            self._places.setdefault(watch, {})[tree] = folder
            tree.watches.add(watch)

    def _forget(self, watch: WatchDescriptor) -> None:
        with self._mine:
            for tree in self._places.pop(watch, {}):
                tree.watches.discard(watch)


def identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another one in its place, or None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def real(folder: Path) -> bytes:
    """Return the path of a folder without links."""
    return os.fsencode(os.path.realpath(folder))


def _folders(top: bytes) -> list[bytes]:
    try:
        with os.scandir(top) as found:
            return [
                each.path
                for each in found
                if each.is_dir(follow_symlinks=False) and not each.name.startswith(_OWN)
            ]
    except OSError:
        return []  # gone again, or not for us: the look says so


def _subject(tree: Tree, folder: bytes, event: InotifyEvent) -> str:
    """Return what an event in *folder* is a hint for."""
    if tree.name is not None:
        return tree.name
    first = folder.removeprefix(tree.folder).lstrip(b"/").partition(b"/")[0]
    if tree.loose and not first and not event.is_directory:
        return LOOSE
    return os.fsdecode(first or event.name)
