"""Hints from the file system: "something changed in this execution directory".

Hints are lost when the kernel's queue overflows, so nothing may depend on one: whoever hears of
trouble scans. `check` mends what can break without a word: a root that was removed, replaced or
unmounted, a thread that died, an overflow.

watchdog 7.1 is mended in three places (`_Inotify`). Its answer to an overflow, to take all
watches down and up again, makes the queue overflow again and never ends above some thousand
directories; we build a new observer instead, and seldom. It hides that there are no watches
left, and warns with a text that contains every watch there is.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from deriva_watch.edges.mounts import file_system, is_remote

_EVENTS: Final[list[type[FileSystemEvent]]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
_REBUILD_PAUSE_S: Final = 10.0
_RETRY_S: Final = 60.0
_LIMITS: Final = {
    errno.ENOSPC: "there are no inotify watches left: raise fs.inotify.max_user_watches"
    " (sysctl -w fs.inotify.max_user_watches=1048576)",
    errno.EMFILE: "there are no inotify instances left: raise fs.inotify.max_user_instances"
    " (sysctl -w fs.inotify.max_user_instances=1024)",
}

Hint = Callable[[Path, str], None]
Trouble = Callable[[str | None, str], None]


class Mode(StrEnum):
    """How a root is watched."""

    NATIVE = "native"  # by events
    POLLING = "polling"  # by the periodic scan alone
    MISSING = "missing"  # it is not there; `check` sees it come


@dataclass
class _Root:
    prefix: Path
    wanted: Literal["auto", "native", "polling"]
    mode: Mode = Mode.MISSING
    identity: tuple[int, int] | None = None  # of the folder that is watched
    watch: ObservedWatch | None = None
    retry_at: float = 0.0  # where watching failed

    @property
    def folder(self) -> Path:
        return self.prefix / "deriva-ml" / "execution"


class Watcher:
    """Watches `deriva-ml/execution` below each prefix.

    Args:
        on_hint: Called with prefix and RID, in a thread of the watcher; must return at once.
        on_trouble: Called with a prefix, or None for all, and the reason why hints are missing;
            in the thread that calls `watch` or `check`.
        clock: Seconds that never go back.
    """

    def __init__(
        self, on_hint: Hint, on_trouble: Trouble, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_hint = on_hint
        self._on_trouble = on_trouble
        self._clock = clock
        self._roots: dict[Path, _Root] = {}
        self._observer: _Observer | None = None
        self._rebuild_at = 0.0
        self._told_of_limit = False

    def watch(self, prefix: Path, mode: Literal["auto", "native", "polling"] = "auto") -> Mode:
        """Begin to watch; scan afterwards, or what came before is missed.

        "auto" polls where events do not arrive: on network and FUSE file systems.
        """
        root = self._roots[prefix] = _Root(prefix, mode)
        self._arm(root)
        return root.mode

    def check(self) -> dict[Path, Mode]:
        """Mend what broke, and return the roots that came, went or changed their mode.

        Scan them; after trouble scan all. Call it about once a second.
        """
        before = {root.prefix: (root.identity, root.mode) for root in self._roots.values()}
        for root in self._roots.values():
            failed = root.retry_at and self._clock() >= root.retry_at
            if failed or _identity(root.folder) != root.identity:
                self._arm(root)
        if self._observer:
            self._mend(self._observer)
        return {
            root.prefix: root.mode
            for root in self._roots.values()
            if before[root.prefix] != (root.identity, root.mode)
        }

    def stop(self) -> None:
        """Stop watching; twice is fine."""
        observer, self._observer = self._observer, None
        for root in self._roots.values():
            root.watch = None
        if observer:
            observer.stop()
            observer.join()

    def _mend(self, observer: "_Observer") -> None:
        if observer.inotify.limited and not self._told_of_limit:
            self._told_of_limit = True
            self._on_trouble(None, _LIMITS[errno.ENOSPC])
        why = observer.problem()
        if why and self._clock() >= self._rebuild_at:
            self._rebuild_at = self._clock() + _REBUILD_PAUSE_S
            self.stop()
            for root in self._roots.values():
                self._arm(root)
            self._on_trouble(None, why)

    def _arm(self, root: _Root) -> None:
        if root.watch and self._observer:
            self._observer.unschedule(root.watch)
        root.watch, root.retry_at = None, 0.0
        root.identity = _identity(root.folder)
        root.mode = self._start(root)

    def _start(self, root: _Root) -> Mode:
        if root.identity is None:
            return Mode.MISSING
        try:
            if root.wanted == "polling" or (
                root.wanted == "auto" and is_remote(file_system(root.folder))
            ):
                return Mode.POLLING
            self._observer = self._observer or _Observer(self._on_hint)
            root.watch = self._observer.watch(root)
        except OSError as error:
            root.retry_at = self._clock() + _RETRY_S
            self._told_of_limit |= error.errno == errno.ENOSPC
            why = _LIMITS.get(error.errno or 0) or f"{root.folder}: {error.strerror}"
            self._on_trouble(str(root.prefix), f"{why}; until then it is only scanned")
            return Mode.POLLING
        return Mode.NATIVE


class _Observer(BaseObserver):
    """One inotify instance with its threads; running from the start."""

    def __init__(self, on_hint: Hint) -> None:
        self.inotify = _Inotify()
        self.inotify.start()
        super().__init__(InotifyEmitter, inotify_fd=self.inotify)
        self._on_hint = on_hint
        self._crashes: deque[str] = deque(maxlen=1)
        self.start()

    def watch(self, root: _Root) -> ObservedWatch:
        """Watch the folder of *root* with everything below."""
        folder = os.path.realpath(root.folder)  # inotify does not follow links
        handler = _Handler(root.prefix, folder, self._on_hint, self._crashes)
        return self.schedule(handler, folder, recursive=True, event_filter=_EVENTS)

    def problem(self) -> str | None:
        """Say why it has to be built anew, or None."""
        threads = (self, self.inotify, *self.emitters)
        if not all(thread.is_alive() for thread in threads):
            return "a thread that watches the file system died"
        if self.inotify.overflowed:
            return "the file system changed faster than its events could be read"
        return f"a hint could not be taken: {self._crashes[0]}" if self._crashes else None

    def on_thread_stop(self) -> None:
        """Stop the emitters, then the reader."""
        super().on_thread_stop()
        self.inotify.stop()
        self.inotify.join()


class _Handler(FileSystemEventHandler):
    """Turns the path of an event into a hint."""

    def __init__(self, prefix: Path, folder: str, on_hint: Hint, crashes: deque[str]) -> None:
        self._prefix = prefix
        self._base = folder + "/"
        self._on_hint = on_hint
        self._crashes = crashes

    def dispatch(self, event: FileSystemEvent) -> None:
        """Give a hint for every execution directory that the event names."""
        try:
            for path in (os.fsdecode(event.src_path), os.fsdecode(event.dest_path)):
                if path.startswith(self._base):
                    rid = path.removeprefix(self._base).partition("/")[0]
                    self._on_hint(self._prefix, rid)
        except Exception as error:  # noqa: BLE001 - it would end the thread of all roots
            self._crashes.append(repr(error))


class _Inotify(InotifyFD):
    """The reader of watchdog, mended as the head of this file says."""

    def __init__(self) -> None:
        super().__init__()
        self.overflowed = False
        self.limited = False

    def handle_event(self, event: InotifyEvent) -> None:
        """Note an overflow instead of answering it."""
        if event.is_queue_overflow:
            self.overflowed = True
        else:
            super().handle_event(event)

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        """Add a watch; the second time for the same directory changes nothing."""
        with self._lock:
            try:
                watch = self._get_or_create_watch(path, mask)
            except OSError as error:
                self.limited = self.limited or error.errno == errno.ENOSPC
                raise
            if watch.wd == -1:  # watchdog lets EACCES pass
                self._watch_for_wd.pop(watch.wd)
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            watch.callbacks[id_] = callback
            return watch.wd


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
