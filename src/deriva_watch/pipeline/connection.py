"""The connection to the server that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from deriva_watch.core.errors import CredentialError, RefusedError, SettingsError
from deriva_watch.core.model import CatalogModel
from deriva_watch.edges.server.bandwidth import Bandwidth
from deriva_watch.edges.server.catalog import Ermrest
from deriva_watch.edges.server.credentials import CredentialSource
from deriva_watch.edges.server.deriva import Server
from deriva_watch.edges.server.hatrac import Hatrac
from deriva_watch.engine.ports import Catalog
from deriva_watch.settings.model import Settings

_NOBODY: Final = {"cookie": "webauthn="}  # what is sent while there is no credential


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to the server, with the catalog and the object store that it leads to.

    Attributes:
        missing: Why there is no credential, or None.
    """

    server: Server
    catalog: Ermrest
    store: Hatrac
    missing: CredentialError | None = None

    @classmethod
    def over(
        cls, server: Server, settings: Settings, missing: CredentialError | None = None
    ) -> "Connection":
        """Return the catalog and the object store of *server* that the settings name."""
        bandwidth = Bandwidth(settings.transfer.bandwidth_bytes_per_s)
        return cls(
            server, Ermrest(server, settings.server.catalog), Hatrac(server, bandwidth), missing
        )

    def probe(self) -> None:
        """Send one cheap request to every service that uploads need.

        Raises the errors of `engine.ports`.
        """
        self.server.session()
        self.catalog.model()
        self.catalog.execution("0")
        self.store.ping()

    def server_time(self) -> datetime | None:
        """Return the time by the server's clock, or None where it does not tell."""
        return self.server.greet("/ermrest/").date


def credential_source(settings: Settings) -> CredentialSource:
    """Return where the credential of the server comes from."""
    return CredentialSource(settings.server.host, settings.server.credential_file)


@contextmanager
def connect(
    settings: Settings,
    source: CredentialSource | None = None,
    *,
    required: bool = True,
    timeout_s: float | None = None,
) -> Iterator[Connection]:
    """Connect to the server that the settings name; nothing is sent yet.

    Args:
        settings: The settings.
        source: Where the credential comes from; None: from where the settings say.
        required: Raise CredentialError where there is no credential, instead of connecting
            without one.
        timeout_s: How long an answer may take, in seconds; None: as the settings say.
    """
    source, missing = source or credential_source(settings), None
    try:
        credential = source.read()
    except CredentialError as error:
        if required:
            raise
        missing, credential = error, _NOBODY
    wait_s = timeout_s or settings.transfer.timeout_s
    server = Server(
        settings.server.host,
        credential,
        protocol=settings.server.protocol,
        ca_bundle=settings.server.ca_bundle,
        connections=settings.transfer.connections,
        timeout_s=(wait_s, wait_s),
    )
    with server:
        yield Connection.over(server, settings, missing)


def read_model(catalog: Catalog) -> CatalogModel:
    """Return the model of the catalog that the settings name.

    Raises SettingsError where it is not there, or may not be read.
    """
    try:
        return catalog.model()
    except RefusedError as error:
        raise SettingsError(error.what, error.why, error.next_for(None)) from error
