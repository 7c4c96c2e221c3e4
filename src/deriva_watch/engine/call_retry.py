"""A few short retries within one step, before the step fails.

They bridge an aborted transaction or a connection that the server closed. Long waits are stored in
the journal, so that they survive a restart.
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
SEVERAL: Final = 3  # after this many failed calls of one kind in a row the host is to blame
LONGEST_S: Final = 60.0  # the pause then grows up to this, until one of them succeeds


@dataclass(frozen=True, slots=True)
class CallRetry:
    """Repeats a call on `TransientError`, with growing pauses, until *stop* is set.

    One instance sees all calls to a host. If calls of one kind ("PUT object") fail several times in
    a row, from any thread, the host is to blame and not a file.
    """

    emit: Emit
    host: str
    stop: threading.Event = field(default_factory=threading.Event)
    policy: RetryPolicy = _SHORT
    _failed: Counter[str] = field(default_factory=Counter)  # failed calls in a row, by kind

    def __call__(self, name: str, call: Callable[[], T]) -> T:
        """Return the result of *call*; raise the last error after too many attempts.

        Raises ServerAwayError if the host asks for a longer pause, or fails for all callers.
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
                    raise self._final_error(kind, error) from None
                self.emit(CallRetried(host=self.host, call=name, why=error.why, wait_s=wait_s))
                self.stop.wait(wait_s)
            else:
                self._failed.pop(kind, None)
                return result

    def _final_error(self, kind: str, error: TransientError) -> TransientError:
        """Return the error to raise after the last attempt."""
        if not isinstance(error, ServerBusyError):
            return error
        self._failed[kind] += 1
        if (error.retry_after_s or 0) > self.policy.max_s:
            return ServerAwayError(error.what, error.why, retry_after_s=error.retry_after_s)
        if self._failed[kind] >= SEVERAL:
            why = f"{error.why}, {self._failed[kind]} times in a row"
            pause_s = min(2.0 ** ((self._failed[kind] - SEVERAL) / 2), LONGEST_S)
            return ServerAwayError(error.what, why, retry_after_s=pause_s)
        return error

    def check(self) -> None:
        """Raise InterruptedWorkError if the work has to stop; also counts as a sign of life."""
        beat()
        if self.stop.is_set():
            raise InterruptedWorkError("stopping")


def elapsed_since(start_s: float) -> float:
    """Return the seconds since `time.monotonic()` was *start_s*, to the millisecond."""
    return round(time.monotonic() - start_s, 3)
