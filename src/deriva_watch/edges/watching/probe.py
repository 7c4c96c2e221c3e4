"""What a folder can be trusted with, tried in it: whether events arrive, how exact times are.

The try takes some milliseconds in a directory of its own, which every look at the folder ignores.
A lock on it tells that somebody is at it: what a killed process left behind is cleared away by the
next one.
"""

import errno
import os
import queue
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.edges.watching.observer import Observer
from deriva_watch.edges.watching.tree import Tree

_PREFIX: Final = OWN_PREFIX + "probe-"
_WAIT_S: Final = 1.0  # for an event that should be there at once
_NAMES: Final = ("written", "renamed")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_MOMENT_NS: Final = 1_000_000_001_123_456_789  # no step of any file system's clock
_STEPS_S: Final = (1e-9, 1e-7, 1e-6, 1e-3, 1e-2, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Found:
    """What a try found.

    Attributes:
        lacking: The change whose event did not arrive; None: they all did.
        step_s: To how many seconds the file system keeps the time of a change.
        barred: Why nothing could be tried.
    """

    lacking: str | None = None
    step_s: float | None = None
    barred: str | None = None


def probe(folder: Path) -> Found:
    """Write, rename and append in *folder*, and see which events arrive; leaves nothing there."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    try:
        with (
            _place(folder) as (path, descriptor),
            closing(Observer(lambda _, name: heard.put(name))) as observer,
        ):
            observer.watches.add(Tree(folder, str(path)))
            return Found(_try(descriptor, heard), _step_s(descriptor))
    except OSError as error:
        return Found(barred=error.strerror or errno.errorcode.get(error.errno or 0, "error"))


def _try(descriptor: int, heard: "queue.SimpleQueue[str]") -> str | None:
    """Return the first change whose event does not arrive."""
    written, renamed = _NAMES
    os.close(os.open(written, _NEW, 0o600, dir_fd=descriptor))
    if not _hears(heard, written):
        return "a file that was written"
    os.rename(written, renamed, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    if not _hears(heard, renamed):
        return "a file that was renamed"
    while not heard.empty():
        heard.get()
    file = os.open(renamed, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, dir_fd=descriptor)
    os.write(file, b"x")
    os.close(file)
    return None if _hears(heard, renamed) else "a file that was appended to"


def _hears(heard: "queue.SimpleQueue[str]", name: str) -> bool:
    with suppress(queue.Empty):
        while heard.get(timeout=_WAIT_S) != name:
            pass
        return True
    return False


def _step_s(descriptor: int) -> float:
    """Return what the file system makes of the nanoseconds of a time."""
    name = next(each for each in reversed(_NAMES) if each in os.listdir(descriptor))
    os.utime(name, ns=(_MOMENT_NS, _MOMENT_NS), dir_fd=descriptor, follow_symlinks=False)
    kept_ns = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mtime_ns
    lost_s = abs(_MOMENT_NS - kept_ns) / 1e9
    return next((step_s for step_s in _STEPS_S if lost_s < step_s), _STEPS_S[-1])


@contextmanager
def _place(folder: Path) -> Iterator[tuple[Path, int]]:
    """Make a directory for the try, and take it away again, with any that nobody uses."""
    _clear(folder)
    path = Path(os.path.realpath(folder), _PREFIX + secrets.token_hex(8))
    path.mkdir(0o700)
    descriptor = os.open(path, _DIRECTORY)
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
        yield path, descriptor
    finally:
        _remove(path, descriptor)
        os.close(descriptor)


def _clear(folder: Path) -> None:
    """Take away what a killed process of our user left behind."""
    with os.scandir(folder) as found:
        left = [Path(each.path) for each in found if each.name.startswith(_PREFIX)]
    for path in left:
        with suppress(OSError):
            descriptor = os.open(path, _DIRECTORY)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    flock(descriptor, LOCK_EX | LOCK_NB)
                    _remove(path, descriptor)
            finally:
                os.close(descriptor)


def _remove(path: Path, descriptor: int) -> None:
    """Remove our names alone: what anybody else put there stays, and with it the directory."""
    for name in _NAMES:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=descriptor)
    path.rmdir()
