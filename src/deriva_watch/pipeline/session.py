"""The daemon's session at the server: extended, or its credential replaced, before it ends."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from deriva_watch.core.errors import CredentialError
from deriva_watch.edges.server.answers import how_to_log_in
from deriva_watch.edges.server.credentials import CredentialSource
from deriva_watch.edges.server.deriva import Server

ASK_S: Final = 300.0  # how often the server is asked how long the session lasts
SOON_S: Final = 900.0  # people are warned of a session that ends within this time


@dataclass(slots=True)
class LoginSession:
    """Keeps the credential of one server current.

    Attributes:
        missing: Why there is no credential yet, or None.
    """

    source: CredentialSource
    server: Server
    missing: CredentialError | None = None
    _ask_at_s: float = 0.0
    _ends_at_s: float | None = None
    _warning: CredentialError | None = None

    def renew(self) -> bool:
        """Use the credential that its source has now, if that changed; return whether it did.

        Raises CredentialError where the source has none.
        """
        if not self.source.changed():
            if self.missing:  # asking the server without a credential would give a vaguer error
                raise self.missing
            return False
        self.server.set_credential(self.source.read())
        self.missing = None
        self._ask_at_s = 0.0
        return True

    def refresh(self) -> CredentialError | None:
        """Use a renewed credential; return a warning where the session ends soon, else None.

        Work continues until the session really ends. The server is asked every `ASK_S`, more often
        if the session is short, and extends a cookie session each time. Raises the errors of
        `engine.ports`.
        """
        try:
            self.renew()
        except CredentialError as error:  # the one in use may be good for a while
            self._warning = error
            return error
        if time.monotonic() >= self._ask_at_s:
            self._ask_at_s = time.monotonic() + ASK_S
            if self.server.uses_cookie:  # a bearer token is renewed by its source
                self.server.extend_session()
            left_s = self.server.session().remaining_s
            if left_s is not None:
                self._ask_at_s = time.monotonic() + min(ASK_S, left_s / 3)
            self._ends_at_s = None if left_s is None else time.monotonic() + left_s
            self._warning = None if left_s is None or left_s > SOON_S else self._ending(left_s)
        return self._warning

    @property
    def remaining_s(self) -> float | None:
        """How long the session lasts, by the server's last answer; None: it did not say."""
        ends_at_s = self._ends_at_s
        return None if ends_at_s is None else max(0.0, ends_at_s - time.monotonic())

    def _ending(self, left_s: float) -> CredentialError:
        host, at = self.server.host, datetime.now(UTC) + timedelta(seconds=left_s)
        return CredentialError(
            f"the session at {host} ends soon", f"it ends at {at:%H:%M} UTC", how_to_log_in(host)
        )
