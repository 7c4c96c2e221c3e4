"""How many inotify watches this user may have, and has (proc(5), inotify(7))."""
# ruff: noqa: PTH115,PTH116,PTH208
# Thousands of descriptors are read: a Path object for each would double the time.

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIMITS: Final = ("/proc/sys/fs/inotify/max_user_{}", "/proc/sys/user/max_inotify_{}")
_PLENTY: Final = 1048576
_SCARCE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Usage:
    """The watches of this user.

    Attributes:
        used: By all processes of the user that we may look into.
        limit: Of the host, or of our user namespace where that is lower.
    """

    used: int
    limit: int

    @property
    def is_scarce(self) -> bool:
        """Tell whether there are nearly none left."""
        return self.used >= _SCARCE * self.limit


def watches() -> Usage:
    """Return the watches that this user has and may have; costs a look at every process of its."""
    return Usage(sum(map(_watches_of, _processes())), limit("watches"))


def limit(what: str) -> int:
    """Return how many "watches" or "instances" a user may have."""
    return min(int(Path(each.format(what)).read_text(encoding="ascii")) for each in _LIMITS)


def remedy(what: str) -> str:
    """Return the command that raises a limit far enough."""
    wanted = max(_PLENTY if what == "watches" else 1024, 2 * limit(what))
    return f"sysctl -w fs.inotify.max_user_{what}={wanted}"


def folders(top: Path, within_s: float) -> tuple[int, bool]:
    """Count *top* and the folders below it, each of which a watch would be for.

    The second value tells whether these are all: the count ends after *within_s*.
    """
    found, pending, ends_s = 0, [os.fspath(top)], time.monotonic() + within_s
    while pending and time.monotonic() < ends_s:
        found += 1
        try:
            with os.scandir(pending.pop()) as names:
                pending += [each.path for each in names if each.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # gone again, or not for us
    return found + len(pending), not pending


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _watches_of(process: str) -> int:
    try:
        if os.stat(f"/proc/{process}").st_uid != os.geteuid():
            return 0
        descriptors = os.listdir(f"/proc/{process}/fd")
    except OSError:
        return 0  # it ended, or is not for us
    return sum(_watches_in(process, descriptor) for descriptor in descriptors)


def _watches_in(process: str, descriptor: str) -> int:
    try:
        if os.readlink(f"/proc/{process}/fd/{descriptor}") != "anon_inode:inotify":
            return 0
        text = Path(f"/proc/{process}/fdinfo/{descriptor}").read_text(encoding="ascii")
    except OSError:
        return 0  # it was closed
    return text.count("inotify wd:")
