"""Whether a root is watched by events or polled."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from deriva_watch.edges.watching.mounts import file_system, is_remote
from deriva_watch.edges.watching.probe import ProbeResult

Wanted = Literal["auto", "native", "polling"]
Probe = Callable[[Path], ProbeResult]


class Mode(StrEnum):
    """How a root is watched."""

    NATIVE = "native"  # by events
    POLLING = "polling"  # by periodic scans alone
    MISSING = "missing"  # it does not exist


@dataclass(frozen=True, slots=True)
class Watched:
    """How a root is watched, and why.

    Attributes:
        file_system: Its type, "" if unknown.
        time_step_s: The resolution of its file times in seconds; None if untested.
    """

    mode: Mode
    why: str = ""
    file_system: str = ""
    time_step_s: float | None = None


def choose(folder: Path, wanted: Wanted, probe: Probe) -> Watched:
    """Return how to watch *folder*; "auto" tests it by writing a small file, if it is local.

    Raises OSError if the list of mounts cannot be read.
    """
    kind = file_system(folder)
    if wanted != "auto":
        return Watched(Mode(wanted), "the settings say so", kind)
    if is_remote(kind):  # a test would only show that our own changes arrive
        why = f"other hosts can change {kind} without an event here"
        return Watched(Mode.POLLING, why, kind)
    found = probe(folder)
    if found.error:
        why = f"{kind or 'its file system'} reports changes; the test could not run: "
        return Watched(Mode.NATIVE, why + found.error, kind)
    if found.missing_event:
        why = f"a test showed no event for {found.missing_event}"
        return Watched(Mode.POLLING, why, kind, found.time_step_s)
    return Watched(Mode.NATIVE, "a test showed that events arrive", kind, found.time_step_s)
