"""The engine for the server, catalog and credentials of a model, with its own journal."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from pydantic import ValidationError

from deriva_watch.core.errors import DerivaMLException, JournalHeldError, TroubleError
from deriva_watch.core.events import Emit
from deriva_watch.edges.server.deriva import TIMEOUT_S, Server
from deriva_watch.engine.files.files import Watch
from deriva_watch.pipeline.build import Parts, assemble
from deriva_watch.pipeline.connection import Connection
from deriva_watch.pipeline.unit_planner import Planner
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import user_state


class Model(Protocol):
    """The members of a model that are used; `DerivaModel` and deriva-ml's own have them."""

    @property
    def catalog(self) -> Any:
        """The bindings' catalog."""
        ...

    def name_to_table(self, table: Any, /) -> Any:
        """Return the table of that name."""
        ...

    def is_asset(self, table: Any, /) -> bool:
        """Return whether rows of a table describe stored files."""
        ...

    def asset_metadata(self, table: Any, /) -> set[str]:
        """Return the metadata columns of an asset table."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where files are uploaded to, and the settings of their journal.

    Attributes:
        settings: Of the engine.
        credential: `{"bearer-token": …}` or `{"cookie": …}`; it is never written down.
        timeout_s: For a connection and a block of a body, and for an answer.
    """

    settings: Settings
    credential: dict[str, str]
    timeout_s: tuple[float, float]

    @classmethod
    def of(
        cls,
        model: Model,
        work: list[Any],
        timeout: tuple[float, float] | None = None,
        chunk_bytes: int | None = None,
    ) -> "Target":
        """Return the catalog of a model as a target.

        Args:
            model: The model.
            work: Identifies the work, so that a later call finds its journal.
            timeout: In seconds.
            chunk_bytes: Length of the chunks of large files; None: the default.

        Raises:
            DerivaMLException: There is no credential, or something cannot be used.
        """
        catalog = model.catalog
        server, number = catalog.deriva_server, str(catalog.catalog_id)
        if not any((server.credentials or {}).get(kind) for kind in ("bearer-token", "cookie")):
            raise DerivaMLException(
                f"the catalog of the model has no credential for {server.server}"
            )
        named = json.dumps([server.server, number, *work], default=str).encode()
        folder = user_state() / "uploads" / hashlib.sha256(named).hexdigest()[:32]
        given = {"chunk_bytes": chunk_bytes} if chunk_bytes is not None else {}
        try:
            settings = Settings.model_validate(
                {
                    "server": {
                        "host": server.server,
                        "catalog": number,
                        "protocol": server.scheme,
                        "ca_bundle": _authorities(f"{server.scheme}://{server.server}"),
                    },
                    # Whoever calls a function may read what they link to; the other rules for
                    # links hold.
                    "files": {"allowed_link_roots": ["/"]},
                    "transfer": given,
                    "retry": {"max_attempts": 10**9},  # the caller says how often
                    "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
                }
            )
        except ValidationError as error:
            wrong = "; ".join(f"{_named(e['loc'])} {e['msg']}" for e in error.errors())
            raise DerivaMLException(f"cannot upload: {wrong}") from error
        return cls(settings, dict(server.credentials), timeout or TIMEOUT_S)

    @contextmanager
    def opened(
        self,
        emit: Emit,
        stop: threading.Event,
        watch: Watch,
        *,
        plan: Planner,
        unit_reader: UnitReader | None = None,
    ) -> Iterator[tuple[Server, Parts]]:
        """Open the journal and build the parts; nothing is sent yet.

        Units are planned by *plan*, and read by *unit_reader*, or as the settings say.
        """
        said = self.settings.server
        with (
            Server(
                said.host,
                self.credential,
                protocol=said.protocol,
                ca_bundle=said.ca_bundle,
                connections=self.settings.transfer.connections,
                timeout_s=self.timeout_s,
                trust_env=True,  # a program's own environment counts, as with the bindings
            ) as server,
            assemble(
                self.settings,
                Connection.over(server, self.settings),
                emit,
                stop,
                watch,
                unit_reader=unit_reader,
                plan=plan,
            ) as parts,
        ):
            parts.journal.void_claims()
            yield server, parts


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raise DerivaMLException for every error that prevents the upload of *what* as a whole."""
    try:
        yield
    except JournalHeldError as error:
        raise DerivaMLException(
            f"cannot upload {what}: it is being uploaded, {error.why}"
        ) from error
    except TroubleError as error:
        raise DerivaMLException(f"cannot upload {what}: {sentence(error)}") from error


def sentence(error: TroubleError) -> str:
    """Return an error in one line, without the next step, which is meant for a daemon."""
    then = (
        "" if "deriva-watch" in error.next or "automatically" in error.next else f". {error.next}"
    )
    return f"{error.what}: {error.why}{then}"


def _authorities(url: str) -> str | None:
    """Return the file of authorities that the environment names for requests, as bindings do."""
    with requests.Session() as session:
        said = session.merge_environment_settings(url, {}, None, None, None)["verify"]
    return os.path.abspath(said) if isinstance(said, str) else None  # noqa: PTH100


def _named(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place))
