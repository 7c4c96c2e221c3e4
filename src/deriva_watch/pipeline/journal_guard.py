"""Runs the work of the daemon's threads, and waits while the journal cannot be written."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from deriva_watch.core.error_effects import Effect, classify
from deriva_watch.core.errors import JournalDamagedError, LostThreadError, TransientError
from deriva_watch.edges.host.problems import Problems

_ABOUT: Final = "the journal"
AGAIN_S: Final = 5.0  # the wait after a failure
_WELL_S: Final = 15.0  # after this long without a failure the problem is over


@dataclass(slots=True)
class JournalGuard:
    """Runs pieces of work for every thread of the daemon.

    Attributes:
        problems: Where it is reported that the journal cannot be written.
        stop: Set where the process must end.
        fatal: Why it must; None: nothing of the kind happened.
    """

    problems: Problems
    stop: threading.Event
    fatal: JournalDamagedError | LostThreadError | None = None
    _failed_s: float = -math.inf

    def run(self, work: Callable[[], None]) -> None:
        """Do *work* once; report a temporary failure and wait; raises bugs."""
        try:
            work()
        except Exception as error:
            effect, known = classify(error, "cannot continue")
            if isinstance(known, TransientError):
                self._failed_s = time.monotonic()
                self.problems.report(_ABOUT, known)
                self.stop.wait(AGAIN_S)
            elif effect is Effect.FATAL and isinstance(known, JournalDamagedError):
                self.end(known)
            else:
                raise

    def end(self, error: JournalDamagedError | LostThreadError) -> None:
        """End the process: a new one must start."""
        self.fatal = error
        self.stop.set()

    def check(self) -> None:
        """Take the problem back once nothing has failed for a while."""
        if time.monotonic() > self._failed_s + _WELL_S:
            self.problems.put(_ABOUT, None)
