"""Builds everything that uploads over a connection; nothing is changed after it is built."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from deriva_watch.core.events import Emit
from deriva_watch.core.retry import RetryPolicy
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.server.processors import SpecProcessors
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.connections import Connections
from deriva_watch.engine.fair_pool import FairPool
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
from deriva_watch.pipeline.attempt import Attempts
from deriva_watch.pipeline.attempt_end import FailedAttempts
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.connection import Connection, connect
from deriva_watch.pipeline.finalize import Finalizer
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.input_fingerprint import InputFingerprint
from deriva_watch.pipeline.prior_executions import PriorExecutions
from deriva_watch.pipeline.unit_planner import Planner, UnitPlanner, spec_source
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Outside:
    """What the parts reach the outside through.

    Attributes:
        writer: Writes into *catalog*.
        hashing, sending: The threads that hash and send files.
        call_retry: Repeats calls to the server.
        emit: Where events go.
        probe: Sends every service that uploads need a cheap request. Raises the errors of
            `engine.ports`.
        server_time: Returns the time by the server's clock, or None where it does not tell.
        renew: Reads the credential again if its source changed; returns True when it did.
        watch: Called with every block of bytes that is hashed or sent.
    """

    journal: Journal
    catalog: Catalog
    store: ObjectStore
    writer: CatalogWriter
    hashing: FairPool
    sending: FairPool
    call_retry: CallRetry
    emit: Emit
    probe: Callable[[], object]
    server_time: Callable[[], datetime | None] = lambda: None
    renew: Callable[[], bool] = lambda: False
    watch: Watch = lambda _path, _phase, _count: None


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one catalog's uploads, for the code that builds a command or the daemon.

    Nothing else takes all of them: whoever works with one of them is given that one.

    Attributes:
        server: The "host/catalog" that executions are kept under.
        server_time: Returns the time by the server's clock, or None where it does not tell.
        specs: Gives the bulk spec in force.
        plan: Plans the units.
        breaker: Stops all work while the server cannot be used.
        server_check: Asks whether the server still holds what was uploaded.
    """

    settings: Settings
    server: str
    journal: Journal
    catalog: Catalog
    server_time: Callable[[], datetime | None]
    unit_reader: UnitReader
    specs: SpecSource
    plan: Planner
    uploader: Uploader
    attempts: Attempts
    fingerprint: InputFingerprint
    holds: HoldCache
    breaker: CircuitBreaker
    server_check: ServerCheck
    emit: Emit


def build(
    settings: Settings,
    outside: Outside,
    unit_reader: UnitReader | None = None,
    plan: Planner | None = None,
) -> Parts:
    """Build all parts; *unit_reader* and *plan* replace those that the settings describe."""
    journal, catalog, emit = outside.journal, outside.catalog, outside.emit
    unit_reader = unit_reader or UnitReader.of(settings, journal)
    specs = spec_source(settings)
    plan = plan or UnitPlanner(unit_reader, specs).plan
    uploader = _uploader(settings, outside)
    holds = HoldCache(journal)
    holds.reload()
    fingerprint = InputFingerprint(settings, catalog, specs)
    name, retry = settings.server.name, settings.retry
    policy = RetryPolicy(retry.initial_s, retry.max_s, retry.max_attempts)
    executions = Executions(catalog, outside.writer, outside.call_retry)
    attempts = Attempts(
        settings=settings,
        journal=journal,
        catalog=catalog,
        uploader=uploader,
        unit_reader=unit_reader,
        plan=plan,
        executions=executions,
        prior=PriorExecutions(unit_reader, journal, uploader, executions, name),
        finalizer=Finalizer(catalog, outside.writer, settings, specs, name),
        fingerprint=fingerprint,
        holds=holds,
        failed=FailedAttempts(policy, outside.probe, emit),
        emit=emit,
        server=name,
    )
    return Parts(
        settings=settings,
        server=name,
        journal=journal,
        catalog=catalog,
        server_time=outside.server_time,
        unit_reader=unit_reader,
        specs=specs,
        plan=plan,
        uploader=uploader,
        attempts=attempts,
        fingerprint=fingerprint,
        holds=holds,
        breaker=CircuitBreaker(
            settings.server.host, emit, outside.probe, outside.renew, retry.max_s
        ),
        server_check=ServerCheck(catalog, outside.store, outside.call_retry),
        emit=emit,
    )


def _uploader(settings: Settings, outside: Outside) -> Uploader:
    catalog, store, writer = outside.catalog, outside.store, outside.writer
    journal, call_retry = outside.journal, outside.call_retry
    chunk_bytes = settings.transfer.chunk_bytes
    processors = SpecProcessors(
        frozenset(settings.spec.allowed_processors), settings.state_directory / "bags"
    )
    naming = Naming(catalog, processors, call_retry)
    connections = Connections(outside.sending, settings.transfer.connections)
    jobs = Jobs(store, journal, call_retry, outside.sending, connections)
    depositor = Depositor(store, catalog, journal, call_retry, jobs, chunk_bytes)
    pools = outside.hashing, outside.sending
    files = Files(depositor, naming, *pools, call_retry, outside.watch)
    return Uploader(
        files,
        Rows(catalog, store, journal, writer, jobs, call_retry),
        TemplateRows(catalog, writer, files, naming, call_retry),
        processors,
        Tables(catalog, writer, call_retry, outside.watch),
    )


@contextmanager
def assemble(  # noqa: PLR0913  # what differs between the daemon, commands and library
    settings: Settings,
    connection: Connection,
    emit: Emit,
    stop: threading.Event,
    watch: Watch = lambda _path, _phase, _count: None,
    *,
    renew: Callable[[], bool] = lambda: False,
    unit_reader: UnitReader | None = None,
    plan: Planner | None = None,
) -> Iterator[Parts]:
    """Open the journal and build all parts on a connection; arguments as in `Outside` and `build`.

    Once *stop* is set, running work ends as soon as it can.

    Raises JournalHeldError while another process has the journal open.
    """
    call_retry = CallRetry(emit, settings.server.host, stop)
    keep = settings.journal.keep_history
    with Journal.open(settings.journal.url, emit=emit, keep_history=keep) as journal:
        hashing = FairPool("hashing", os.cpu_count() or 1)
        sending = FairPool("transfer", settings.transfer.connections)
        writer = CatalogWriter(connection.catalog, call_retry)
        outside = Outside(
            journal=journal,
            catalog=connection.catalog,
            store=connection.store,
            writer=writer,
            hashing=hashing,
            sending=sending,
            call_retry=call_retry,
            emit=emit,
            probe=connection.probe,
            server_time=connection.server_time,
            renew=renew,
            watch=watch,
        )
        try:
            yield build(settings, outside, unit_reader, plan)
        finally:
            hashing.close()
            sending.close()
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
