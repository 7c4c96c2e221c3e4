"""What the checks share: the settings, the connection, and how far they came."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from deriva_watch.assembly import connect
from deriva_watch.core.drop_spec import CompiledDrop
from deriva_watch.core.errors import CredentialError
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.spec import Spec
from deriva_watch.edges.catalog import Ermrest
from deriva_watch.edges.credentials import CredentialSource
from deriva_watch.edges.deriva import Server
from deriva_watch.edges.hatrac import Hatrac
from deriva_watch.intake import Intake
from deriva_watch.settings import Settings

PATIENCE_S: Final = 20.0  # a person waits: the daemon would for minutes


class Reached(IntEnum):
    """How far the checks came; each step needs those before it."""

    NOTHING = 0
    SERVER = 1  # it answers
    SESSION = 2  # and knows us
    MODEL = 3  # and let us read the catalog's model

    @property
    def missing(self) -> str:
        """Why what needs this step cannot be looked at."""
        return {
            Reached.SERVER: "the server does not answer",
            Reached.SESSION: "we are not logged in",
            Reached.MODEL: "the catalog cannot be read",
        }.get(self, "")


@dataclass(slots=True)
class Look:
    """One run of all checks.

    Attributes:
        settings: The settings, of which all are about.
        source: Where the credential comes from.
        server, catalog, store: What is asked.
        intake: What reads the bulk spec.
        lacking: Why there is no credential, or None.
        reached: How far the checks came.
        model: The catalog's model, from `Reached.MODEL` on.
        spec: The bulk spec, if it can be used.
        drops: The drop folders that fit the catalog.
    """

    settings: Settings
    source: CredentialSource
    server: Server
    catalog: Ermrest
    store: Hatrac
    intake: Intake
    lacking: CredentialError | None
    reached: Reached = Reached.NOTHING
    model: CatalogModel = field(default_factory=lambda: CatalogModel({}))
    spec: Spec | None = None
    drops: list[CompiledDrop] = field(default_factory=list)


@contextmanager
def looking(settings: Settings) -> Iterator[Look]:
    """Make the connection; nothing is asked yet."""
    source = CredentialSource(settings.server.host, settings.server.credential_file)
    with connect(settings, source, required=False, timeout_s=PATIENCE_S) as (server, lacking):
        catalog = Ermrest(server, settings.server.catalog)
        yield Look(settings, source, server, catalog, Hatrac(server), Intake.of(settings), lacking)
