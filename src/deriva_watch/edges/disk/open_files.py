"""Which files are open for writing: one pass over /proc answers for many directories.

Descriptors are compared by device and inode, because a process in a container has another path for
the same file; a file that no scan has seen yet is compared by its path. If not every process can be
read, we request a read lease on each file, which the kernel refuses while the file is open for
writing. Memory mappings whose descriptor was closed are not noticed.
"""
# ruff: noqa: PTH115,PTH116,PTH208
# Reads thousands of descriptors; a Path object for each would double the time.

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from fcntl import F_RDLCK, F_SETLEASE, F_SETSIG, F_UNLCK, fcntl
from pathlib import Path
from typing import Final, NamedTuple

from deriva_watch.core.completeness.observation import HolderMethod, Holders, Kind, Observation
from deriva_watch.liveness import beat

_HOST_PID_NAMESPACE: Final = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CAP_LEASE: Final = 28
_WRITABLE: Final = 0o200  # the mode of a link in /proc/PID/fd is that of its descriptor


class _Held(NamedTuple):
    """A file that a process has open for writing."""

    path: str  # in the namespace of that process
    identity: tuple[int, int]


def holders(seen: Sequence[Observation]) -> dict[str, Holders]:
    """Return by root which files other processes of this host have open for writing."""
    names = {
        (entry.target or path).rpartition("/")[2]
        for look in seen
        for path, entry in look.entries.items()
    }
    bases = tuple(_base(look) for look in seen)
    held, everything = _read_processes(
        # No stat of a file that cannot be below a root: its file system may hang.
        lambda path: path.startswith(bases) or path.rpartition("/")[2] in names
    )
    found = {look.root: _open_below(look, held) for look in seen}
    if everything:
        return {root: Holders(paths, HolderMethod.PROC) for root, paths in found.items()}
    return {look.root: _with_leases(look, found[look.root]) for look in seen}


def method() -> HolderMethod:
    """Return how `holders` notices writers; UNKNOWN: by leases, only for files of our user."""
    _, everything = _read_processes(lambda _: False)
    if everything:
        return HolderMethod.PROC
    return HolderMethod.LEASE if _may_lease() else HolderMethod.UNKNOWN


def _may_lease() -> bool:
    """Return whether we may take leases on files of other users."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    rights = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(rights, 16) >> _CAP_LEASE & 1)


def _read_processes(concerns: Callable[[str], bool]) -> tuple[list[_Held], bool]:
    """Return the files that processes have open, and whether all processes could be read."""
    held: list[_Held] = []
    processes = [name for name in os.listdir("/proc") if name.isdigit()]
    # Most are invisible in a PID namespace other than the host's, or if hidepid hides them.
    everything = os.readlink("/proc/self/ns/pid") == _HOST_PID_NAMESPACE and "1" in processes
    for process in processes:
        beat()
        if int(process) != os.getpid():
            try:
                held.extend(_read_process(process, concerns))
            except PermissionError:
                everything = False
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended
    return held, everything


def _read_process(process: str, concerns: Callable[[str], bool]) -> Iterator[_Held]:
    folder = f"/proc/{process}/fd"
    for number in os.listdir(folder):
        descriptor = f"{folder}/{number}"
        try:
            path = os.readlink(descriptor)
            if not concerns(path) or not os.lstat(descriptor).st_mode & _WRITABLE:
                continue
            found = os.stat(descriptor)
        except FileNotFoundError:
            continue  # it was closed
        if found.st_nlink:
            yield _Held(path, (found.st_dev, found.st_ino))


def _open_below(look: Observation, held: list[_Held]) -> frozenset[str]:
    identities, base = {file.identity for file in held}, _base(look)
    paths = {file.path for file in held}
    known = {
        path
        for path, entry in look.entries.items()
        if held and (entry.identity in identities or entry.target in paths)
    }
    return frozenset(
        known | {file.path.removeprefix(base) for file in held if file.path.startswith(base)}
    )


def _with_leases(look: Observation, found: frozenset[str]) -> Holders:
    """Request a lease on every file."""
    base = _base(look)
    answers = {
        path: _is_open_for_writing(entry.target or base + path)
        for path, entry in look.entries.items()
        if entry.kind is Kind.CONTENT
    }
    held = {path for path, is_open in answers.items() if is_open}
    method = HolderMethod.UNKNOWN if None in answers.values() else HolderMethod.LEASE
    return Holders(found | held, method)


def _is_open_for_writing(path: str) -> bool | None:
    """Return whether a process has the file open for writing; None if the kernel does not tell.

    The kernel tells only the file's owner and root, and only on local file systems. A process that
    opens the file while we have the lease, for some microseconds, waits until it is released.
    """
    beat()
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError:
        return None
    try:
        # Breaking a lease sends SIGIO, which would end this process; SIGURG is ignored.
        fcntl(descriptor, F_SETSIG, signal.SIGURG)
        fcntl(descriptor, F_SETLEASE, F_RDLCK)
        fcntl(descriptor, F_SETLEASE, F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _base(look: Observation) -> str:
    return os.path.realpath(look.root) + "/"
