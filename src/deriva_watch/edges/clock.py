"""The clock of this system, which somebody may set while we run."""

import time
from pathlib import Path
from typing import Final

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
