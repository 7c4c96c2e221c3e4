"""How many inotify watches this user may have and has (proc(5), inotify(7))."""
# ruff: noqa: PTH115,PTH116,PTH208
# Reads thousands of descriptors; a Path object for each would double the time.

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deriva_watch.edges.watching.tree import subfolders

_LIMITS: Final = ("/proc/sys/fs/inotify/max_user_{}", "/proc/sys/user/max_inotify_{}")
_RECOMMENDED: Final = 1048576
_SCARCE: Final = 0.8  # this share of the limit is in use


@dataclass(frozen=True, slots=True)
class WatchUsage:
    """The inotify watches of this user.

    Attributes:
        used: By all processes of the user that we may inspect.
        limit: Of the host, or of our user namespace if that is lower.
    """

    used: int
    limit: int

    @property
    def is_scarce(self) -> bool:
        """Whether 80 % or more are in use."""
        return self.used >= _SCARCE * self.limit


def watch_usage() -> WatchUsage:
    """Return the watches of this user and their limit; inspects every process of the user."""
    return WatchUsage(sum(map(_watches_of, _processes())), limit("watches"))


def limit(what: str) -> int:
    """Return how many inotify "watches" or "instances" a user may have."""
    return min(int(Path(each.format(what)).read_text(encoding="ascii")) for each in _LIMITS)


def remedy(what: str) -> str:
    """Return the command that raises the limit of "watches" or "instances"."""
    recommended = max(_RECOMMENDED if what == "watches" else 1024, 2 * limit(what))
    return f"sysctl -w fs.inotify.max_user_{what}={recommended}"


def count_folders(top: Path, within_s: float) -> tuple[int, bool]:
    """Return the number of folders from *top* down, each of which needs a watch.

    Counting stops after *within_s*; the second value is whether all were counted.
    """
    found, pending, ends_s = 0, [os.path.realpath(top)], time.monotonic() + within_s
    while pending and time.monotonic() < ends_s:
        found += 1
        pending += subfolders(pending.pop())
    return found + len(pending), not pending


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _watches_of(process: str) -> int:
    try:
        if os.stat(f"/proc/{process}").st_uid != os.geteuid():
            return 0
        descriptors = os.listdir(f"/proc/{process}/fd")
    except OSError:
        return 0  # it ended, or is not readable for us
    return sum(_watches_in(process, descriptor) for descriptor in descriptors)


def _watches_in(process: str, descriptor: str) -> int:
    try:
        if os.readlink(f"/proc/{process}/fd/{descriptor}") != "anon_inode:inotify":
            return 0
        text = Path(f"/proc/{process}/fdinfo/{descriptor}").read_text(encoding="ascii")
    except OSError:
        return 0  # it was closed
    return text.count("inotify wd:")
