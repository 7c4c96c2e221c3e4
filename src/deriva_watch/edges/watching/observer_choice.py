"""By which means a root is watched, and why by these."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from deriva_watch.edges.watching.mounts import file_system, is_remote
from deriva_watch.edges.watching.probe import Found

Wanted = Literal["auto", "native", "polling"]
Probe = Callable[[Path], Found]


class Mode(StrEnum):
    """How a root is watched."""

    NATIVE = "native"  # by events
    POLLING = "polling"  # by the periodic scan alone
    MISSING = "missing"  # it is not there


@dataclass(frozen=True, slots=True)
class Watched:
    """How a root is watched, and why so.

    Attributes:
        file_system: Its type, "" where that is not known.
        step_s: To how many seconds it keeps times; None: that was not tried.
    """

    mode: Mode
    why: str = ""
    file_system: str = ""
    step_s: float | None = None


def choose(folder: Path, wanted: Wanted, probe: Probe) -> Watched:
    """Choose; "auto" writes a small file of our own into *folder* where that can tell anything.

    Raises OSError where mounts cannot be read.
    """
    kind = file_system(folder)
    if wanted != "auto":
        return Watched(Mode(wanted), "the settings say so", kind)
    if is_remote(kind):  # our own changes would be told, those of others not
        why = f"others can change {kind} without an event here"
        return Watched(Mode.POLLING, why, kind)
    found = probe(folder)
    if found.barred:
        why = f"{kind or 'its file system'} tells of changes; a try was not possible: "
        return Watched(Mode.NATIVE, why + found.barred, kind)
    if found.lacking:
        why = f"a try showed no event of {found.lacking}"
        return Watched(Mode.POLLING, why, kind, found.step_s)
    return Watched(Mode.NATIVE, "a try showed that events arrive", kind, found.step_s)
