"""Facts about this machine: its identity, its last boot, its clock, and whether it is shared."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_SERVERS: Final = {"nfsd", "smbd", "ganesha.nfsd", "glusterfsd", "sftp-server"}
"""Names of processes by which other machines write to file systems of this one."""
_HOST_PID_NAMESPACE: Final = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel
_PROC: Final = Path("/proc")


def start(proc: Path = _PROC, etc: Path = Path("/etc")) -> str | None:
    """Return the ids of this machine and its last boot, "machine/boot"; None if unknown."""
    try:
        machine = (etc / "machine-id").read_text().strip()
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return f"{machine}/{boot}" if machine else None


def is_shared(proc: Path = _PROC) -> bool:
    """Return whether other machines can write to its file systems, as far as we can tell."""
    try:
        if str((proc / "self/ns/pid").readlink()) != _HOST_PID_NAMESPACE:
            return True  # a container sees only its own processes
        (proc / "1/comm").read_text()  # hidepid hides process 1 like those of other users
        folders = [folder for folder in proc.iterdir() if folder.name.isdigit()]
    except OSError:
        return True
    return any(_name(folder) in _SERVERS for folder in folders)


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""  # it ended


NICE: Final = 19


def yield_to_others() -> None:
    """Give this thread the lowest ordinary priority.

    Not idle priority: it could be suspended while it holds the interpreter's lock. It is a
    courtesy, which a filter of system calls may forbid.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


STEP_S: Final = 2.0  # no quiet period is measured more precisely


def boot() -> tuple[str, float]:
    """Return the id of the last boot and how many seconds ago it was.

    CLOCK_BOOTTIME also counts while the host is suspended, and nobody can set it.
    """
    name = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return name, time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Notices when the clock is set, which makes times measured before unusable.

    CLOCK_MONOTONIC follows the slow corrections of NTP but not a step of the clock. A machine that
    was suspended looks like one whose clock was set forward.
    """

    def __init__(self) -> None:
        """Take the clock as right at this moment."""
        self._ahead_s = _ahead_s()

    def step_s(self) -> float:
        """Return by how many seconds the clock was set since the last call; 0 if it was not."""
        step_s = _ahead_s() - self._ahead_s
        if abs(step_s) < STEP_S:
            return 0.0
        self._ahead_s += step_s
        return round(step_s, 1)


def _ahead_s() -> float:
    return time.time() - time.monotonic()
