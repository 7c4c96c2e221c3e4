"""Who holds files open for writing: one pass over /proc answers for many directories.

Descriptors are compared by device and inode, because a process in a container knows the same file
by another path; a file that no look has seen yet is known by its path alone. Where not every
process can be read, the kernel is asked for a read lease on each file: it grants none while
anybody has the file open for writing. Mappings whose descriptor is closed are not seen.
"""
# ruff: noqa: PTH115,PTH116,PTH208
# Thousands of descriptors are read: a Path object for each would double the time.

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from fcntl import F_RDLCK, F_SETLEASE, F_SETSIG, F_UNLCK, fcntl
from pathlib import Path
from typing import Final, NamedTuple

from deriva_watch.core.completeness.observation import HolderMethod, Holders, Kind, Observation

_HOST_PID_NAMESPACE: Final = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CAP_LEASE: Final = 28
_WRITABLE: Final = 0o200  # a link in /proc/PID/fd has the mode its descriptor was opened with


class _Held(NamedTuple):
    """A file that some process has open for writing."""

    path: str  # as that process knows it
    identity: tuple[int, int]


def holders(seen: Sequence[Observation]) -> dict[str, Holders]:
    """Return by root which files processes of this host, except ours, have open for writing."""
    names = {
        (entry.target or path).rpartition("/")[2]
        for look in seen
        for path, entry in look.entries.items()
    }
    bases = tuple(_base(look) for look in seen)
    held, everything = _read_processes(
        # A file that cannot be ours is not even looked at: its file system may hang.
        lambda path: path.startswith(bases) or path.rpartition("/")[2] in names
    )
    found = {look.root: _open_below(look, held) for look in seen}
    if everything:
        return {root: Holders(paths, HolderMethod.PROC) for root, paths in found.items()}
    return {look.root: _with_leases(look, found[look.root]) for look in seen}


def method() -> HolderMethod:
    """Say by what `holders` will see writers; UNKNOWN: by leases, of our own files alone."""
    _, everything = _read_processes(lambda _: False)
    if everything:
        return HolderMethod.PROC
    return HolderMethod.LEASE if _may_lease() else HolderMethod.UNKNOWN


def _may_lease() -> bool:
    """Tell whether we may take leases on files of others."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    rights = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(rights, 16) >> _CAP_LEASE & 1)


def _read_processes(concerns: Callable[[str], bool]) -> tuple[list[_Held], bool]:
    """Return what processes hold, and whether all of them could be read."""
    held: list[_Held] = []
    processes = [name for name in os.listdir("/proc") if name.isdigit()]
    # Most are invisible in another namespace than the host's, or where hidepid hides them.
    everything = os.readlink("/proc/self/ns/pid") == _HOST_PID_NAMESPACE and "1" in processes
    for process in processes:
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
    known = {
        path for path, entry in look.entries.items() if identities and entry.identity in identities
    }
    return frozenset(
        known | {file.path.removeprefix(base) for file in held if file.path.startswith(base)}
    )


def _with_leases(look: Observation, found: frozenset[str]) -> Holders:
    """Ask for a lease on every file."""
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
    """Say whether anybody has the file open for writing; None where the kernel does not say.

    It says so to the owner of the file and to root, on local file systems. Whoever opens the file
    while the lease stands, some microseconds, waits until it is released.
    """
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
