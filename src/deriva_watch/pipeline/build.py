"""Builds all parts from the settings: the connection to the server, and what uploads over it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from deriva_watch.core.errors import CredentialError, RefusedError, SettingsError
from deriva_watch.core.events import Emit
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.retry import RetryPolicy
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.server.bandwidth import Bandwidth
from deriva_watch.edges.server.catalog import Ermrest
from deriva_watch.edges.server.credentials import CredentialSource
from deriva_watch.edges.server.deriva import Server
from deriva_watch.edges.server.hatrac import Hatrac
from deriva_watch.edges.server.processors import SpecProcessors
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.files.depositor import Depositor
from deriva_watch.engine.files.files import Files, Watch
from deriva_watch.engine.files.upload_jobs import Jobs
from deriva_watch.engine.naming import Naming
from deriva_watch.engine.ports import Catalog, ObjectStore
from deriva_watch.engine.rows.executions import Executions
from deriva_watch.engine.rows.rows import Rows
from deriva_watch.engine.rows.tables import Tables
from deriva_watch.engine.rows.template_rows import TemplateRows
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.engine.server_check import ServerCheck
from deriva_watch.engine.uploader import Uploader
from deriva_watch.liveness import begin_idle
from deriva_watch.pipeline.attempt import Attempts
from deriva_watch.pipeline.attempt_end import FailedAttempts
from deriva_watch.pipeline.finalize import Finalizer
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.input_fingerprint import InputFingerprint
from deriva_watch.pipeline.unit_planner import Planner, UnitPlanner, spec_source
from deriva_watch.pipeline.unit_reader import UnitReader
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


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one catalog's uploads, for the code that builds a command or the daemon.

    Nothing else takes all of them: whoever works with one of them is given that one.

    Attributes:
        server: The "host/catalog" that executions are kept under.
        probe: Sends every service that uploads need a cheap request. Raises the errors of
            `engine.ports`.
        server_time: Returns the time by the server's clock, or None where it does not tell.
        specs: Gives the bulk spec in force.
        plan: Plans the units.
        server_check: Asks whether the server still holds what was uploaded.
    """

    settings: Settings
    server: str
    journal: Journal
    catalog: Catalog
    unit_reader: UnitReader
    specs: SpecSource
    plan: Planner
    uploader: Uploader
    attempts: Attempts
    fingerprint: InputFingerprint
    holds: HoldCache
    server_check: ServerCheck
    emit: Emit
    probe: Callable[[], object]
    server_time: Callable[[], datetime | None]


def build(  # noqa: PLR0913, PLR0917  # what all parts are made from
    settings: Settings,
    journal: Journal,
    catalog: Catalog,
    store: ObjectStore,
    writer: CatalogWriter,
    pool: Executor,
    call_retry: CallRetry,
    *,
    emit: Emit,
    probe: Callable[[], object],
    server_time: Callable[[], datetime | None] = lambda: None,
    watch: Watch = lambda _path, _phase, _count: None,
    unit_reader: UnitReader | None = None,
    plan: Planner | None = None,
) -> Parts:
    """Build all parts from the settings and from what touches the outside.

    Args:
        settings: The settings.
        journal: The journal.
        catalog: The catalog.
        store: The object store.
        writer: Writes into *catalog*.
        pool: Hashes and sends files.
        call_retry: Repeats calls to the server.
        emit: Where events go.
        probe: As in `Parts`.
        server_time: As in `Parts`.
        watch: Called with every block of bytes that is hashed or sent.
        unit_reader: Reads the units; None: as the settings say.
        plan: Plans the units; None: as the settings say.
    """
    name = settings.server.name
    unit_reader = unit_reader or UnitReader.of(settings, journal)
    specs = spec_source(settings)
    plan = plan or UnitPlanner(unit_reader, specs).plan
    processors = SpecProcessors(
        frozenset(settings.spec.allowed_processors), settings.state_directory / "bags"
    )
    naming = Naming(catalog, processors, call_retry)
    jobs = Jobs(store, journal, call_retry)
    depositor = Depositor(store, catalog, journal, call_retry, jobs, settings.transfer.chunk_bytes)
    files = Files(depositor, naming, pool, call_retry, watch)
    uploader = Uploader(
        files,
        Rows(catalog, store, journal, writer, jobs, call_retry),
        TemplateRows(catalog, writer, files, naming, call_retry),
        processors,
        Tables(catalog, writer, call_retry, watch),
    )
    holds = HoldCache(journal)
    holds.reload()
    fingerprint = InputFingerprint(settings, catalog, specs)
    retry = settings.retry
    attempts = Attempts(
        settings=settings,
        journal=journal,
        catalog=catalog,
        uploader=uploader,
        unit_reader=unit_reader,
        plan=plan,
        executions=Executions(catalog, writer, call_retry),
        finalizer=Finalizer(catalog, writer, settings, specs, name),
        fingerprint=fingerprint,
        holds=holds,
        failed=FailedAttempts(
            RetryPolicy(retry.initial_s, retry.max_s, retry.max_attempts), probe, emit
        ),
        emit=emit,
        server=name,
    )
    return Parts(
        settings=settings,
        server=name,
        journal=journal,
        catalog=catalog,
        unit_reader=unit_reader,
        specs=specs,
        plan=plan,
        uploader=uploader,
        attempts=attempts,
        fingerprint=fingerprint,
        holds=holds,
        server_check=ServerCheck(catalog, store, call_retry),
        emit=emit,
        probe=probe,
        server_time=server_time,
    )


@contextmanager
def assemble(  # noqa: PLR0913, PLR0917  # what differs between the daemon, commands and library
    settings: Settings,
    connection: Connection,
    emit: Emit,
    stop: threading.Event,
    watch: Watch = lambda _path, _phase, _count: None,
    unit_reader: UnitReader | None = None,
    plan: Planner | None = None,
) -> Iterator[Parts]:
    """Open the journal and build all parts on a connection; arguments as in `build`.

    Once *stop* is set, running work ends as soon as it can.

    Raises JournalHeldError while another process has the journal open.
    """
    call_retry = CallRetry(emit, settings.server.host, stop)
    with Journal.open(settings.journal.url, emit=emit) as journal:
        pool = ThreadPoolExecutor(settings.transfer.connections, "transfer", begin_idle)
        writer = CatalogWriter(connection.catalog, call_retry)
        try:
            yield build(
                settings,
                journal,
                connection.catalog,
                connection.store,
                writer,
                pool,
                call_retry,
                emit=emit,
                probe=connection.probe,
                server_time=connection.server_time,
                watch=watch,
                unit_reader=unit_reader,
                plan=plan,
            )
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            writer.close()


@contextmanager
def opened(
    settings: Settings,
    emit: Emit,
    stop: threading.Event,
    watch: Watch = lambda _path, _phase, _count: None,
) -> Iterator[tuple[Connection, Parts]]:
    """Connect to the server and put the parts together, for a command that needs both.

    Raises CredentialError without a credential, JournalHeldError while another process has the
    journal open.
    """
    with (
        connect(settings) as connection,
        assemble(settings, connection, emit, stop, watch) as parts,
    ):
        yield connection, parts
