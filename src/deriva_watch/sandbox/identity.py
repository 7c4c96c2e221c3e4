"""Who sends a request: two identities, their tokens and their credential files."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

OWNER: Final = "sandbox-owner"  # owns the catalog and the object store's root
WRITER: Final = "sandbox-writer"  # may read and insert, and lease RIDs
SESSION_LENGTH: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Client:
    """A caller with a session; its id is what rows carry as RCB."""

    id: str


class Sessions:
    """The live sessions of one server.

    Args:
        folder: Where the credential files lie. A token found there is valid when the
            server starts, so that clients survive a restart.

        host: ``address:port`` of the server, the key in deriva's credential format.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.host = host
        self.since = datetime.now(UTC)
        self.files = {name: folder / f"{name}-credential.json" for name in ("owner", "writer")}
        self._clients: dict[str, Client] = {}
        for client, file in zip((Client(OWNER), Client(WRITER)), self.files.values(), strict=True):
            self._begin(client, file, _token(file))

    def client_of(self, headers: Mapping[str, str]) -> Client | None:
        """Return who sent a request with these *headers*; None for nobody we know."""
        return self._clients.get(_sent_token(headers))

    def end(self, headers: Mapping[str, str]) -> Client | None:
        """End the session that a request with these *headers* belongs to.

        Returns:
            Whose it was; None if there is none (any more).
        """
        return self._clients.pop(_sent_token(headers), None)

    def renew(self, client: Client) -> None:
        """Write a new token into the credential file of *client*, as after a new login."""
        file = self.files["owner" if client.id == OWNER else "writer"]
        self._begin(client, file, _new_token())

    def _begin(self, client: Client, file: Path, token: str) -> None:
        self._clients[token] = client  # before anybody can read it
        _write_private(file, json.dumps({self.host: {"bearer-token": token}}, indent=1))

    def describe(self, client: Client) -> dict[str, Any]:
        """Return what ``GET /authn/session`` answers to *client*."""
        identity = {"id": client.id, "display_name": client.id, "identities": [client.id]}
        expires = self.since + SESSION_LENGTH
        return {
            "client": identity,
            "attributes": [identity],
            "since": str(self.since),
            "expires": str(expires),
            "seconds_remaining": int((expires - datetime.now(UTC)).total_seconds()),
            "vary_headers": ["cookie"],
            "tracking": None,
        }


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
