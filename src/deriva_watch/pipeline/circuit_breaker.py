"""A circuit breaker for the server: it stops all work while the server cannot be used.

No execution is at fault if the server is away, refuses our login or has no such catalog. All work
stops, one probe at a time is sent, and no execution loses an attempt.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from deriva_watch.core.error_effects import Effect, Failure
from deriva_watch.core.errors import CredentialError, RefusedError, TransientError
from deriva_watch.core.events import (
    CatalogUnavailable,
    CredentialNeeded,
    Emit,
    Event,
    ServerRecovered,
    ServerUnavailable,
)

FIRST_PROBE_S: Final = 1.0  # a server that only restarts is back soon
PROBE_S: Final = 10.0  # the longest pause between two probes
LOGIN_PROBE_S: Final = 300.0  # the same while the credential is not accepted

# One unit that gets such an answer may be the first of all.
_DOUBTFUL: Final = {Effect.REFUSE, Effect.WAIT_FOR_SPEC, Effect.RETRY_UNLESS_AWAY}

Tripping = TransientError | CredentialError | RefusedError


@dataclass(slots=True)
class CircuitBreaker:
    """Lets work continue while the server answers.

    Attributes:
        host: For the events.
        emit: Where the events go.
        probe: Sends the server and the catalog a cheap request. Raises the errors of
            `engine.ports`.
        renew: Reads the credential again if its source changed; returns True when it did.
        max_pause_s: The longest pause that a server may ask for.
        error: What tripped it; None: work may continue.
    """

    host: str
    emit: Emit
    probe: Callable[[], object]
    renew: Callable[[], bool]
    max_pause_s: float
    error: Tripping | None = None
    _is_sure: bool = False  # the server was asked, and nothing raised a doubt since
    _tripped_s: float = 0.0
    _probe_at_s: float = 0.0
    _pause_s: float = FIRST_PROBE_S
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def trip(self, error: Tripping) -> None:
        """Stop all work because of *error*; the same reason is reported once."""
        with self._lock:
            before, self.error = self.error, error
            if before is not None and _reason(before) == _reason(error):
                return  # and the next probe keeps its time
            now_s = time.monotonic()
            if before is None:
                self._tripped_s = now_s
            self._pause_s = FIRST_PROBE_S
            asked_s = error.retry_after_s if isinstance(error, TransientError) else None
            wait_s = max(self._pause_s, min(asked_s or 0.0, self.max_pause_s))
            self._probe_at_s = now_s + wait_s
        self.emit(self._event(error, wait_s))

    def probe_soon(self) -> None:
        """Have the next `allows_work` send a probe: an error may concern more than one unit."""
        self._is_sure = False

    def learn(self, failure: Failure) -> bool:
        """Trip, or probe soon, where *failure* may concern all units; return whether it may."""
        match failure:
            case (Effect.STOP_ALL, TransientError() | CredentialError() as error):
                self.trip(error)
            case (effect, error) if effect in _DOUBTFUL:
                if error is not self.error:
                    self.probe_soon()
            case _:
                return False
        return True

    @contextmanager
    def tripping(self) -> Iterator[None]:
        """Trip on any error of the server in the block, which concerns no single unit."""
        try:
            yield
        except (TransientError, CredentialError, RefusedError) as error:
            self.trip(error)

    def raise_if_tripped(self) -> None:
        """Raise the error that tripped it, until work may continue."""
        if self.error is not None:
            raise self.error

    def allows_work(self) -> bool:
        """Return whether work may continue; sends a probe if one is due, the first one at once."""
        if self.error is None and self._is_sure:
            return True
        with self.tripping():
            if not (self.renew() or time.monotonic() >= self._probe_at_s):
                return False
            self._is_sure = True  # before the probe: a doubt that comes meanwhile counts
            longest_s = LOGIN_PROBE_S if isinstance(self.error, CredentialError) else PROBE_S
            self._pause_s = min(2 * self._pause_s, longest_s)
            self._probe_at_s = time.monotonic() + self._pause_s
            self.probe()
            if self.error is not None:
                self.error = None
                away_s = round(time.monotonic() - self._tripped_s, 1)
                self.emit(ServerRecovered(host=self.host, seconds=away_s))
            return True
        return False

    def _event(self, error: Tripping, wait_s: float) -> Event:
        if isinstance(error, TransientError):
            at = datetime.now(UTC) + timedelta(seconds=wait_s)
            return ServerUnavailable(host=self.host, why=error.why, next_at=at.isoformat())
        kind = CredentialNeeded if isinstance(error, CredentialError) else CatalogUnavailable
        return kind(host=self.host, **error.sentence())


def _reason(error: Tripping) -> object:
    # A server that is away is away, whether it refuses connections or lets them time out.
    return TransientError if isinstance(error, TransientError) else (type(error), error.why)
