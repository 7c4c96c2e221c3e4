"""Whether the server can be worked with: one gate for the whole host.

A server that is away, or does not know us, is nobody's fault: work stands still, one probe at a
time goes out, and no execution loses an attempt.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from deriva_watch.core.errors import CredentialError, ServerAwayError, TransientError
from deriva_watch.core.events import CredentialNeeded, ServerAway, ServerBack
from deriva_watch.engine.ports import Emit

PROBE_S: Final = 10.0  # how long a server that is away is left alone between two probes


@dataclass(slots=True)
class Gate:
    """Open while the server answers.

    Args:
        host: For the events.
        probe: Asks the server something cheap; raises as every call does.
        renew: Reads the credential again if its source changed; True when it did.
    """

    host: str
    emit: Emit
    probe: Callable[[], object]
    renew: Callable[[], bool]
    error: ServerAwayError | CredentialError | None = None  # None: open
    _away: bool = False
    _closed_s: float = 0.0
    _probe_at_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self, error: ServerAwayError | CredentialError) -> None:
        """Note that the server is away or does not know us; said once."""
        with self._lock:
            self._probe_at_s = time.monotonic() + PROBE_S
            if self.error is not None:
                return
            self.error, self._closed_s = error, time.monotonic()
            self._away = isinstance(error, ServerAwayError)
        if isinstance(error, CredentialError):
            self.emit(
                CredentialNeeded(host=self.host, what=error.what, why=error.why, next=error.next)
            )
        else:
            at = datetime.now(UTC) + timedelta(seconds=PROBE_S)
            self.emit(ServerAway(host=self.host, why=error.why, next_at=at.isoformat()))

    def check(self) -> None:
        """Raise what closed the gate, while it is closed."""
        if self.error is not None:
            raise self.error

    def is_open(self) -> bool:
        """Tell whether work may go on; sends the probe that is due."""
        if self.error is None:
            return True
        renewed = self.renew()
        if not renewed and (not self._away or time.monotonic() < self._probe_at_s):
            return False
        with self._lock:
            self._probe_at_s = time.monotonic() + PROBE_S
        try:
            self.probe()
        except CredentialError:
            self._away = False
            return False
        except TransientError:
            return False
        self.error = None
        self.emit(ServerBack(host=self.host, seconds=round(time.monotonic() - self._closed_s, 1)))
        return True
