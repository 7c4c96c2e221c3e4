"""One inotify instance and the trees that it watches; any thread may add and remove trees."""

import errno
import os
import select
import threading
from contextlib import suppress
from typing import Final

from inotify_simple import Event, INotify, flags

from deriva_watch.edges.watching.tree import Tree, subfolders

# Without MODIFY: a file that is written to would send an event for every write.
_MASK: Final = int(
    flags.CREATE
    | flags.CLOSE_WRITE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE
    | flags.ATTRIB  # a folder may have become readable for us
    | flags.ONLYDIR
    | flags.EXCL_UNLINK
)
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class InotifyWatches:
    """An open inotify instance, read by one thread.

    Attributes:
        exhausted: A folder could not be watched because there are no watches left.

    Raises OSError where this user may have no more instances.
    """

    def __init__(self) -> None:
        self.exhausted = False
        self._inotify = INotify()
        self._interrupted = os.eventfd(0)
        self._poll = select.poll()
        for descriptor in (self._inotify.fileno(), self._interrupted):
            self._poll.register(descriptor, select.POLLIN)
        self._lock = threading.Lock()
        self._trees: dict[int, dict[Tree, str]] = {}  # with the path of the folder in each tree

    def __len__(self) -> int:
        """Return how many folders are watched."""
        return len(self._trees)

    def add(self, tree: Tree) -> None:
        """Watch *tree*; what is in it already causes no event.

        Raises OSError where its own folder cannot be watched.
        """
        tree.complete = True
        self._add_folder(tree, tree.path)
        if tree.recursive:
            self.add_folders(tree, subfolders(tree.path))

    def add_folders(self, tree: Tree, folders: list[str]) -> None:
        """Watch *folders* and everything below as part of *tree*, until no watches are left."""
        while folders:
            folder = folders.pop()
            try:
                self._add_folder(tree, folder)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    self.exhausted, tree.complete = True, False
                    return
                continue  # deleted meanwhile, or not readable for us: the scan reports that
            folders += subfolders(folder)

    def remove(self, tree: Tree) -> None:
        """Stop watching *tree*; folders that other trees share stay watched."""
        with self._lock:
            tree.removed, tree.complete = True, False
            for descriptor in tree.descriptors:
                trees = self._trees.get(descriptor, {})
                trees.pop(tree, None)
                if not trees and self._trees.pop(descriptor, None) is not None:
                    with suppress(OSError):  # the folder was deleted, and its watch with it
                        self._inotify.rm_watch(descriptor)
            tree.descriptors.clear()

    def forget(self, descriptor: int) -> None:
        """Forget a watch that the kernel has removed."""
        with self._lock:
            for tree in self._trees.pop(descriptor, {}):
                tree.descriptors.discard(descriptor)

    def trees(self, descriptor: int) -> dict[Tree, str]:
        """Return the trees that a watch belongs to, each with the path of the folder in it."""
        with self._lock:
            return dict(self._trees.get(descriptor, {}))

    def read(self) -> list[Event]:
        """Return the next events; none after `interrupt`."""
        self._poll.poll()
        found: list[Event] = self._inotify.read(timeout=0)
        return found

    def interrupt(self) -> None:
        """Make `read` return from now on."""
        with self._lock:
            if not self._inotify.closed:
                os.eventfd_write(self._interrupted, 1)

    def close(self) -> None:
        """Remove all watches; called by the thread that reads."""
        with self._lock:
            self._inotify.close()
            os.close(self._interrupted)
            self._trees.clear()

    def _add_folder(self, tree: Tree, folder: str) -> None:
        """Watch one folder; a second time only its path is new. Raises OSError.

        The path is opened first: that may hang, and the lock would hold up all other roots.
        """
        opened = os.open(folder, _FOLDER)
        try:
            with self._lock:
                if tree.removed:
                    return
                if self._inotify.closed:
                    raise OSError(errno.EBADF, "the inotify instance is closed", folder)
                descriptor = self._inotify.add_watch(f"/proc/self/fd/{opened}", _MASK)
                self._trees.setdefault(descriptor, {})[tree] = folder
                tree.descriptors.add(descriptor)
        finally:
            os.close(opened)
