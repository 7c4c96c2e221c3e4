"""Shared by the checks: the settings, the connection, and how far they came."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

from deriva_watch.core.drop.drop_spec import CompiledDrop
from deriva_watch.core.errors import CredentialError
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.spec.spec import Spec
from deriva_watch.edges.host import systemd
from deriva_watch.edges.host.systemd import Unit
from deriva_watch.edges.server.catalog import Ermrest
from deriva_watch.edges.server.credentials import CredentialSource, Origin
from deriva_watch.edges.server.deriva import Server
from deriva_watch.edges.server.hatrac import Hatrac
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.pipeline.connection import connect, credential_source
from deriva_watch.pipeline.unit_planner import spec_source
from deriva_watch.settings.model import Settings

PATIENCE_S: Final = 20.0  # a person is waiting; the daemon waits for minutes


class Reached(IntEnum):
    """How far the checks came; each step needs the earlier ones."""

    NOTHING = 0
    SERVER = 1  # it answers
    SESSION = 2  # and knows us
    MODEL = 3  # and let us read the catalog's model

    @property
    def missing(self) -> str:
        """Why checks that need this step cannot run."""
        return {
            Reached.SERVER: "no Deriva server answers",
            Reached.SESSION: "we are not logged in",
            Reached.MODEL: "the catalog cannot be read",
        }.get(self, "")


@dataclass(slots=True)
class Look:
    """One run of all checks.

    Attributes:
        settings: The settings to check.
        config: The file that they are in, or None.
        unit: The service that runs the daemon with that file, or None.
        source: Where the credential comes from.
        server, catalog, store: What is asked.
        specs: Gives the bulk spec.
        lacking: Why there is no credential, or None.
        reached: How far the checks came.
        model: The catalog's model, from `Reached.MODEL` on.
        spec: The bulk spec, if it can be used.
        drops: The drop folders that fit the catalog.
    """

    settings: Settings
    config: Path | None
    unit: Unit | None
    source: CredentialSource
    server: Server
    catalog: Ermrest
    store: Hatrac
    specs: SpecSource
    lacking: CredentialError | None
    reached: Reached = Reached.NOTHING
    model: CatalogModel = field(default_factory=lambda: CatalogModel({}))
    spec: Spec | None = None
    drops: list[CompiledDrop] = field(default_factory=list)


@contextmanager
def looking(settings: Settings, config: Path | None) -> Iterator[Look]:
    """Connect to the server; nothing is sent yet."""
    unit = systemd.serving(config.absolute()) if config else None
    source = _source(settings, unit)
    with connect(settings, source, required=False, timeout_s=PATIENCE_S) as made:
        asked = made.server, made.catalog, made.store, spec_source(settings)
        yield Look(settings, config, unit, source, *asked, made.missing)


def _source(settings: Settings, unit: Unit | None) -> CredentialSource:
    """Return where the daemon gets its credential: a service has a copy from systemd."""
    host, file = settings.server.host, settings.server.credential_file
    copied = unit.credential if unit and not file else None
    if copied and "CREDENTIALS_DIRECTORY" not in os.environ:
        return CredentialSource(host, copied, origin=Origin.SYSTEMD)
    return credential_source(settings)
