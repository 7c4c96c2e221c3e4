"""A few short tries inside one step, before the step counts as failed.

The long waits, which survive a restart, are the journal's; these only ride out an aborted
transaction or a connection that the server closed.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from deriva_watch.core.errors import ServerAwayError, TransientError, WatchError
from deriva_watch.core.events import CallRetried
from deriva_watch.core.retry import RetryPolicy, wait_after_s
from deriva_watch.engine.ports import Emit

T = TypeVar("T")
_SHORT = RetryPolicy(initial_s=0.1, max_s=2.0, max_attempts=5)


class InterruptedWorkError(WatchError):
    """The daemon is stopping; the journal knows how far the work came."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Repeats a call on `TransientError`, a little later each time, until *stop* is set."""

    emit: Emit
    host: str
    stop: threading.Event = field(default_factory=threading.Event)
    policy: RetryPolicy = _SHORT

    def __call__(self, name: str, call: Callable[[], T]) -> T:
        """Return what *call* returns; the last error is raised when patience ends."""
        attempt = 0
        while True:
            self.check()
            try:
                return call()
            except ServerAwayError:
                raise  # the whole host pauses; see the service
            except TransientError as error:
                attempt += 1
                jitter = random.random()  # noqa: S311  # spreads load, hides nothing
                wait_s = wait_after_s(attempt, self.policy, jitter, error.retry_after_s)
                if wait_s is None or (error.retry_after_s or 0) > self.policy.max_s:
                    raise
                self.emit(CallRetried(host=self.host, call=name, why=error.why, wait_s=wait_s))
                self.stop.wait(wait_s)

    def check(self) -> None:
        """Raise InterruptedWorkError once the work shall stop."""
        if self.stop.is_set():
            raise InterruptedWorkError("stopping")


def elapsed_since(start_s: float) -> float:
    """Return the seconds since `time.monotonic()` was *start_s*, to the millisecond."""
    return round(time.monotonic() - start_s, 3)
