"""Tests in a folder whether events arrive and how exact file times are.

A test takes some milliseconds in a directory of its own, which every scan of the folder ignores.
The directory is locked while a test runs, so that the next test can remove what a killed process
left behind.
"""

import errno
import os
import queue
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.edges.watching.observer import Observer
from deriva_watch.edges.watching.tree import Tree

_PREFIX: Final = OWN_PREFIX + "probe-"
_WAIT_S: Final = 3.0  # for an event, which should come at once; a busy machine takes its time
_NAMES: Final = ("written", "renamed")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_TIME_NS: Final = 1_000_000_001_123_456_789  # every file system but the most exact rounds it
_STEPS_S: Final = (1e-9, 1e-7, 1e-6, 1e-3, 1e-2, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a test.

    Attributes:
        missing_event: The change whose event did not arrive; None if all arrived.
        time_step_s: The resolution of file times in seconds.
        error: Why the test could not run.
    """

    missing_event: str | None = None
    time_step_s: float | None = None
    error: str | None = None


def probe(folder: Path) -> ProbeResult:
    """Write, rename and append to a file in *folder*, check the events, and clean up."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    try:
        with (
            _test_directory(folder) as (path, descriptor),
            closing(Observer(lambda _, name: heard.put(name))) as observer,
        ):
            observer.watches.add(Tree(folder, str(path)))
            return ProbeResult(_missing_event(descriptor, heard), _time_step_s(descriptor))
    except OSError as error:
        return ProbeResult(error=error.strerror or errno.errorcode.get(error.errno or 0, "error"))


def _missing_event(descriptor: int, heard: "queue.SimpleQueue[str]") -> str | None:
    """Return the first change whose event does not arrive."""
    written, renamed = _NAMES
    os.close(os.open(written, _NEW, 0o600, dir_fd=descriptor))
    if not _hears(heard, written):
        return "a new file"
    os.rename(written, renamed, src_dir_fd=descriptor, dst_dir_fd=descriptor)
    if not _hears(heard, renamed):
        return "a renamed file"
    while not heard.empty():
        heard.get()
    file = os.open(renamed, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, dir_fd=descriptor)
    os.write(file, b"x")
    os.close(file)
    return None if _hears(heard, renamed) else "a file that grew"


def _hears(heard: "queue.SimpleQueue[str]", name: str) -> bool:
    with suppress(queue.Empty):
        while heard.get(timeout=_WAIT_S) != name:
            pass
        return True
    return False


def _time_step_s(descriptor: int) -> float:
    """Set the time of a file and return how far it was rounded, as the next larger step."""
    name = next(each for each in reversed(_NAMES) if each in os.listdir(descriptor))
    os.utime(name, ns=(_TIME_NS, _TIME_NS), dir_fd=descriptor, follow_symlinks=False)
    rounded_ns = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mtime_ns
    lost_s = abs(_TIME_NS - rounded_ns) / 1e9
    return next((step_s for step_s in _STEPS_S if lost_s < step_s), _STEPS_S[-1])


@contextmanager
def _test_directory(folder: Path) -> Iterator[tuple[Path, int]]:
    """Make a locked directory and remove it again; first remove those of killed processes."""
    name = _PREFIX + secrets.token_hex(8)
    with ExitStack() as opened:
        above = os.open(os.path.realpath(folder), _DIRECTORY)
        opened.callback(os.close, above)
        path = Path(f"/proc/self/fd/{above}").readlink() / name
        _clean_up(above)
        os.mkdir(name, 0o700, dir_fd=above)
        descriptor = os.open(name, _DIRECTORY, dir_fd=above)
        opened.callback(os.close, descriptor)
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
            yield path, descriptor
        finally:
            _remove(above, name, descriptor)


def _clean_up(above: int) -> None:
    """Remove the directories that killed processes of our user left behind."""
    for name in os.listdir(above):
        if not name.startswith(_PREFIX):
            continue
        with suppress(OSError):
            descriptor = os.open(name, _DIRECTORY, dir_fd=above)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    flock(descriptor, LOCK_EX | LOCK_NB)
                    _remove(above, name, descriptor)
            finally:
                os.close(descriptor)


def _remove(above: int, directory: str, descriptor: int) -> None:
    """Remove our files and the directory; if it has other files, they stay and so does it."""
    for name in _NAMES:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=descriptor)
    os.rmdir(directory, dir_fd=above)
