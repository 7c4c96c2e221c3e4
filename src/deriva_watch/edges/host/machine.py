"""What this machine says of itself: which it is, when it was started, and who may write to it."""

import time
from pathlib import Path
from typing import Final

_SERVERS: Final = {"nfsd", "smbd", "ganesha.nfsd", "glusterfsd", "sftp-server"}
"""Names of processes by which other machines write to file systems of this one."""
_HOST_PID_NAMESPACE: Final = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel
_PROC: Final = Path("/proc")


def start(proc: Path = _PROC, etc: Path = Path("/etc")) -> str | None:
    """Return what names this machine and its latest start, "machine/start"; None: it says not."""
    try:
        machine = (etc / "machine-id").read_text().strip()
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return f"{machine}/{boot}" if machine else None


def is_shared(proc: Path = _PROC) -> bool:
    """Tell whether other machines may write to its own file systems, as far as can be seen."""
    try:
        if str((proc / "self/ns/pid").readlink()) != _HOST_PID_NAMESPACE:
            return True  # a container sees its own processes
        (proc / "1/comm").read_text()  # hidepid hides it with those of other users
        folders = [folder for folder in proc.iterdir() if folder.name.isdigit()]
    except OSError:
        return True
    return any(_name(folder) in _SERVERS for folder in folders)


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""  # it ended


STEP_S: Final = 2.0  # less than that no quiet period is measured by


def boot() -> tuple[str, float]:
    """Return which start of this host this is, and how many seconds ago it was.

    CLOCK_BOOTTIME goes on while the host sleeps; nobody can set it.
    """
    name = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return name, time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Notices when the clock is set: what was measured by it until then means nothing.

    CLOCK_MONOTONIC follows the slow corrections of NTP, and no step of the clock; a machine that
    slept looks like one whose clock was set forward.
    """

    def __init__(self) -> None:
        """Take the clock to be right now."""
        self._ahead_s = _ahead_s()

    def step_s(self) -> float:
        """Return by how many seconds it was set since it was asked last; 0: it was not."""
        step_s = _ahead_s() - self._ahead_s
        if abs(step_s) < STEP_S:
            return 0.0
        self._ahead_s += step_s
        return round(step_s, 1)


def _ahead_s() -> float:
    return time.time() - time.monotonic()
