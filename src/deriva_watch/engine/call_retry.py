"""A few short tries inside one step, before the step counts as failed.

The long waits, which survive a restart, are the journal's; these only ride out an aborted
transaction or a connection that the server closed.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from deriva_watch.core.errors import (
    InterruptedWorkError,
    ServerAwayError,
    ServerBusyError,
    TransientError,
)
from deriva_watch.core.events import CallRetried, Emit
from deriva_watch.core.retry import RetryPolicy, wait_after_s
from deriva_watch.liveness import beat

T = TypeVar("T")
_SHORT = RetryPolicy(initial_s=0.1, max_s=2.0, max_attempts=5)
SEVERAL: Final = 3  # so many calls of one kind in a row came to nothing: it is the host's fault
LONGEST_S: Final = 60.0  # the pause after that grows to so much, until one of them succeeds


@dataclass(frozen=True, slots=True)
class Patience:
    """Repeats a call on `TransientError`, a little later each time, until *stop* is set.

    One instance hears of all calls to a host. Calls of one kind ("PUT object") that fail several
    times in a row, whoever makes them, are the host's fault and no file's.
    """

    emit: Emit
    host: str
    stop: threading.Event = field(default_factory=threading.Event)
    policy: RetryPolicy = _SHORT
    _failed: Counter[str] = field(default_factory=Counter)  # calls in a row, by their kind

    def __call__(self, name: str, call: Callable[[], T]) -> T:
        """Return what *call* returns; the last error is raised when patience ends.

        Raises ServerAwayError where the host asks for a longer pause, or fails for everybody.
        """
        attempt, kind = 0, " ".join(name.split()[:2])
        while True:
            self.check()
            try:
                result = call()
            except ServerAwayError:
                raise  # the whole host pauses; see the service
            except TransientError as error:
                attempt += 1
                jitter = random.random()  # noqa: S311  # spreads load, hides nothing
                wait_s = wait_after_s(attempt, self.policy, jitter, error.retry_after_s)
                if wait_s is None or (error.retry_after_s or 0) > self.policy.max_s:
                    raise self._lost(kind, error) from None
                self.emit(CallRetried(host=self.host, call=name, why=error.why, wait_s=wait_s))
                self.stop.wait(wait_s)
            else:
                self._failed.pop(kind, None)
                return result

    def _lost(self, kind: str, error: TransientError) -> TransientError:
        """Return what is to be raised where patience ends."""
        if not isinstance(error, ServerBusyError):
            return error
        self._failed[kind] += 1
        if (error.retry_after_s or 0) > self.policy.max_s:
            return ServerAwayError(error.what, error.why, retry_after_s=error.retry_after_s)
        if self._failed[kind] >= SEVERAL:
            why = f"{error.why}, and so it was {self._failed[kind]} times in a row"
            pause_s = min(2.0 ** ((self._failed[kind] - SEVERAL) / 2), LONGEST_S)
            return ServerAwayError(error.what, why, retry_after_s=pause_s)
        return error

    def check(self) -> None:
        """Raise InterruptedWorkError once the work shall stop; a sign of life."""
        beat()
        if self.stop.is_set():
            raise InterruptedWorkError("stopping")


def elapsed_since(start_s: float) -> float:
    """Return the seconds since `time.monotonic()` was *start_s*, to the millisecond."""
    return round(time.monotonic() - start_s, 3)
