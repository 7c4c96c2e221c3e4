"""Whether the server can be worked with: one gate for the whole host.

A server that is away, or does not know us, or has no such catalog, is no execution's fault: work
stands still, one probe at a time goes out, and no execution loses an attempt.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from deriva_watch.core.errors import CredentialError, RefusedError, TransientError
from deriva_watch.core.events import (
    CatalogUnavailable,
    CredentialNeeded,
    Emit,
    Event,
    ServerRecovered,
    ServerUnavailable,
)

FIRST_PROBE_S: Final = 1.0  # a server that only starts anew is back soon
PROBE_S: Final = 10.0  # how long one that stays away is left alone between two probes

Closed = TransientError | CredentialError | RefusedError


@dataclass(slots=True)
class Gate:
    """Open while the server answers.

    Attributes:
        host: For the events.
        emit: Where they go.
        probe: Asks the server and the catalog something cheap; raises as every call does.
        renew: Reads the credential again if its source changed; True when it did.
        max_pause_s: The longest pause that a server may ask for.
        error: Why it is closed; None: it is open.
    """

    host: str
    emit: Emit
    probe: Callable[[], object]
    renew: Callable[[], bool]
    max_pause_s: float
    error: Closed | None = None
    _asked: bool = False
    _closed_s: float = 0.0
    _probe_at_s: float = 0.0
    _pause_s: float = FIRST_PROBE_S
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self, error: Closed) -> None:
        """Note why nothing can be done; the same reason is said once."""
        with self._lock:
            before, self.error = self.error, error
            if before is not None and _reason(before) == _reason(error):
                return  # and the probe stays due when it is
            now_s = time.monotonic()
            if before is None:
                self._closed_s = now_s
            self._pause_s = FIRST_PROBE_S
            asked_s = error.retry_after_s if isinstance(error, TransientError) else None
            wait_s = max(self._pause_s, min(asked_s or 0.0, self.max_pause_s))
            self._probe_at_s = now_s + wait_s
        self.emit(self._event(error, wait_s))

    def doubt(self) -> None:
        """Ask the server at the next occasion: it refused what may concern more than one."""
        self._asked = False

    def check(self) -> None:
        """Raise what closed the gate, while it is closed."""
        if self.error is not None:
            raise self.error

    def is_open(self) -> bool:
        """Tell whether work may go on; sends the probe that is due, the first one at once."""
        if self.error is None and self._asked:
            return True
        self._asked = True
        try:
            if not (self.renew() or self._is_probe_due()):
                return False
            self._pause_s = min(2 * self._pause_s, PROBE_S)
            self._probe_at_s = time.monotonic() + self._pause_s
            self.probe()
        except (TransientError, CredentialError, RefusedError) as error:
            self.close(error)
            return False
        if self.error is not None:
            self.error = None
            away_s = round(time.monotonic() - self._closed_s, 1)
            self.emit(ServerRecovered(host=self.host, seconds=away_s))
        return True

    def _is_probe_due(self) -> bool:
        """Tell whether asking again may help: a credential must change first."""
        waits = isinstance(self.error, CredentialError)
        return not waits and time.monotonic() >= self._probe_at_s

    def _event(self, error: Closed, wait_s: float) -> Event:
        if isinstance(error, TransientError):
            at = datetime.now(UTC) + timedelta(seconds=wait_s)
            return ServerUnavailable(host=self.host, why=error.why, next_at=at.isoformat())
        kind = CredentialNeeded if isinstance(error, CredentialError) else CatalogUnavailable
        return kind(host=self.host, what=error.what, why=error.why, next=error.next_for(None))


def _reason(error: Closed) -> object:
    # A server that is away is away, whether it refuses connections or lets them time out.
    return TransientError if isinstance(error, TransientError) else (type(error), error.why)
