"""Who sends a request: two identities, their tokens and their credential files."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

OWNER: Final = "sandbox-owner"  # owns the catalog and the object store's root
WRITER: Final = "sandbox-writer"  # may read and insert, and lease RIDs
SESSION_LENGTH: Final = timedelta(days=30)
EXTENDED_EVERY: Final = timedelta(seconds=5)
REMEMBERED: Final = timedelta(seconds=60)
REMEMBERING: Final = {"ermrest", "hatrac"}


@dataclass(frozen=True, slots=True)
class Client:
    """A caller with a session; its id is what rows carry as RCB."""

    id: str


@dataclass(slots=True)
class Session:
    """A login.

    Attributes:
        client: Its user.

        since, expires: When it began, and when it ends unless it is extended.

        extended_at: When it was last extended.

        seen_at: When each of the services that remember sessions looked it up last.
    """

    client: Client
    since: datetime
    expires: datetime
    extended_at: datetime
    seen_at: dict[str, datetime] = field(default_factory=dict)

    def extend(self, length: timedelta, now: datetime) -> None:
        """Extend it, unless that was done a moment ago (measured)."""
        if now - self.extended_at >= EXTENDED_EVERY:
            self.expires, self.extended_at = now + length, now

    def describe(self, now: datetime) -> dict[str, Any]:
        """Return the answer of ``/authn/session``."""
        identity = {
            "id": self.client.id,
            "display_name": self.client.id,
            "identities": [self.client.id],
        }
        return {
            "client": identity,
            "attributes": [identity],
            "since": str(self.since),
            "expires": str(self.expires),
            # Measured: the days are left out.
            "seconds_remaining": (self.expires - now).seconds,
            "vary_headers": ["cookie"],
            "tracking": None,
        }


class Sessions:
    """The live sessions of one server.

    Args:
        folder: The folder of the credential files. A token found there is valid when the
            server starts, so that clients survive a restart.

        host: ``address:port`` of the server, the key in deriva's credential format.

        length: How long a session lasts after it was extended.
    """

    def __init__(self, folder: Path, host: str, length: timedelta = SESSION_LENGTH) -> None:
        self.host = host
        self.files = {name: folder / f"{name}-credential.json" for name in ("owner", "writer")}
        self._length = length
        self._sessions: dict[str, Session] = {}
        for client, file in zip((Client(OWNER), Client(WRITER)), self.files.values(), strict=True):
            self._begin(client, file, _token(file))

    def find(self, headers: Mapping[str, str]) -> Session | None:
        """Return the session that a request with these *headers* belongs to, or None."""
        session = self._sessions.get(_sent_token(headers))
        return session if session and datetime.now(UTC) < session.expires else None

    def client_of(self, headers: Mapping[str, str], service: str) -> Client | None:
        """Return who sent a request to *service*; None if there is no session.

        Measured: ERMrest and Hatrac remember a session for a minute; when they look it up
        again, they extend it.
        """
        session = self.find(headers)
        if session is None:
            return None
        now = datetime.now(UTC)
        if service in REMEMBERING:
            seen_at = session.seen_at.get(service)
            if seen_at is None or now - seen_at > REMEMBERED:
                session.extend(self._length, now)
                session.seen_at[service] = now
        return session.client

    def extend(self, session: Session) -> None:
        """Extend a session, as ``PUT /authn/session`` does."""
        session.extend(self._length, datetime.now(UTC))

    def end(self, headers: Mapping[str, str]) -> Client | None:
        """End the session that a request with these *headers* belongs to.

        Returns:
            Its user; None if there is no such session.
        """
        session = self._sessions.pop(_sent_token(headers), None)
        return session.client if session else None

    def renew(self, client: Client) -> None:
        """Write a new token into the credential file of *client*, as after a new login."""
        file = self.files["owner" if client.id == OWNER else "writer"]
        self._begin(client, file, _new_token())

    def _begin(self, client: Client, file: Path, token: str) -> None:
        now = datetime.now(UTC)
        # In place before anybody can read the token.
        self._sessions[token] = Session(client, now, now + self._length, now)
        _write_private(file, json.dumps({self.host: {"bearer-token": token}}, indent=1))


def _sent_token(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    cookies = dict(
        part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";")
    )
    return cookies.get("webauthn", "")


def _new_token() -> str:
    return secrets.token_urlsafe(24)


def _token(file: Path) -> str:
    if not file.exists():
        return _new_token()
    (credential,) = json.loads(file.read_text()).values()
    return str(credential["bearer-token"])


def _write_private(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    part.replace(file)
