"""The one thread that reads file system events, for all folders that are watched.

watchdog's own emitter is not used: it is a thread for each watch, holds every event back for half
a second to pair renames, reports neither an overflow nor that there are no watches left, and
answers an overflow by removing and adding every watch, which can overflow again. Our events are
only hints, so nothing has to be paired, put in order or kept.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Final

from inotify_simple import Event, flags
from watchdog.observers.api import EventEmitter, EventQueue, ObservedWatch

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.core.layout import LOOSE
from deriva_watch.edges.watching.hints import HintEvent, OverflowEvent
from deriva_watch.edges.watching.inotify_watches import InotifyWatches
from deriva_watch.edges.watching.tree import Tree
from deriva_watch.liveness import beat, begin, end, waiting

_MAY_BE_NEW: Final = int(flags.CREATE | flags.MOVED_TO | flags.ATTRIB)
_OVERFLOW: Final = int(flags.Q_OVERFLOW)
_IGNORED: Final = int(flags.IGNORED)
_IS_FOLDER: Final = int(flags.ISDIR)


class InotifyEmitter(EventEmitter):
    """Turns inotify events into hints, equal ones of one read into a single hint.

    Attributes:
        watches: What it reads, once it is started.
        heard: How many events each prefix had.
    """

    watches: InotifyWatches

    def __init__(
        self, event_queue: EventQueue, watch: ObservedWatch, *, supervised: bool, **options: Any
    ) -> None:
        super().__init__(event_queue, watch, **options)
        self.heard: Counter[Path] = Counter()
        self._supervised = supervised
        self._hinted: set[tuple[Tree, str]] = set()  # since the last read

    def on_thread_start(self) -> None:
        """Open the inotify instance. Raises OSError where this user may have no more of them."""
        self.watches = InotifyWatches()

    def on_thread_stop(self) -> None:
        """Wake the thread up, so that it ends."""
        if hasattr(self, "watches"):
            self.watches.interrupt()

    def run(self) -> None:
        """Read events until told to stop; close the instance however the thread ends."""
        if self._supervised:
            self.name = "inotify"
            begin()
        try:
            super().run()
            end()
        finally:
            self.watches.close()

    def queue_events(self, timeout: float) -> None:  # noqa: ARG002 - `stop` ends the wait
        """Wait for events and queue their hints."""
        with waiting():
            events = self.watches.read()
        self._hinted.clear()
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        beat()
        if event.mask & _OVERFLOW:
            self.queue_event(OverflowEvent(""))
        elif event.mask & _IGNORED:
            self.watches.forget(event.wd)
        elif event.name and not event.name.startswith(OWN_PREFIX):
            # Without a name it is about the watched folder itself, which its parent reports too.
            for tree, folder in self.watches.trees(event.wd).items():
                self._queue_hint(tree, folder, event)

    def _queue_hint(self, tree: Tree, folder: str, event: Event) -> None:
        self.heard[tree.prefix] += 1
        is_folder = bool(event.mask & _IS_FOLDER)
        name = tree.name or (LOOSE if tree.loose and not is_folder else event.name)
        if tree.recursive and is_folder and event.mask & _MAY_BE_NEW:
            # Watch before the hint: the scan that follows finds the files older than the watch.
            self.watches.add_folders(tree, [f"{folder}/{event.name}"])
        elif (tree, name) in self._hinted:
            return
        self._hinted.add((tree, name))
        self.queue_event(HintEvent(folder, prefix=tree.prefix, name=name))
