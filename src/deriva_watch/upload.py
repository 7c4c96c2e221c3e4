"""The engine without the daemon: bring directories in now, because a person says so."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deriva_watch.assembly import assemble, connect
from deriva_watch.core.errors import (
    RefusedError,
    ServerAwayError,
    SettingsError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.layout import ROOT, TABLES
from deriva_watch.core.mapping import UnusableSpecError
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.plan import Plan
from deriva_watch.core.records import Brought, ExecutionFacts, ExecutionRecord, MoveExecution
from deriva_watch.core.spec import Spec
from deriva_watch.core.states import EXECUTION_TRANSITIONS, ExecutionState, ExecutionTrigger
from deriva_watch.edges.catalog import Ermrest
from deriva_watch.edges.credentials import CredentialSource
from deriva_watch.edges.journal import open_readonly
from deriva_watch.engine.files import Watch
from deriva_watch.engine.ports import Catalog, Emit
from deriva_watch.engine.row_source import Count, count
from deriva_watch.intake import Intake, execution_names, unusable_name
from deriva_watch.lookout import Key
from deriva_watch.orders import Orders
from deriva_watch.pipeline import Pipeline
from deriva_watch.prospect import Prospect, prospect
from deriva_watch.settings import Settings

_VERDICT = {"why": "a person asked for it: deriva-watch upload", "insisted": True}


def directories(paths: list[Path]) -> list[Key]:
    """Return the execution directories that *paths* name: each one itself, or all below a prefix.

    Raises SettingsError for a path that is neither.
    """
    return [key for path in paths for key in _directories(path.absolute())]


def _directories(path: Path) -> Iterator[Key]:
    if path.parent.name == "execution" and path.parent.parent.name == ROOT and path.is_dir():
        yield path.parents[2], path.name
        return
    if path.name == "table" and path.parent.name == ROOT and path.is_dir():
        yield path.parents[1], TABLES
        return
    # A prefix may be called deriva-ml itself: so the released deriva-ml calls it.
    prefixes = (path, path.parent) if path.name == "deriva-ml" else (path,)
    prefix = next((prefix for prefix in prefixes if execution_names(prefix)), None)
    if prefix is None:
        raise SettingsError(
            f"there is nothing to upload in {path}",
            "it is no directory deriva-ml/execution/<RID>, and has none below it"
            if path.is_dir()
            else "there is no such directory",
            "Name an execution directory, or the folder that holds deriva-ml/.",
        )
    yield from ((prefix, rid) for rid in sorted(execution_names(prefix)))


@dataclass(frozen=True, slots=True)
class OneShot:
    """Uploads directories one after the other."""

    pipeline: Pipeline

    def upload(self, key: Key) -> Brought:
        """Bring one directory as far as it goes now; return where it stands.

        Raises TransientError or CredentialError of the server: nothing more can be done.
        """
        try:
            record = self._ready(key)
        except ServerAwayError:
            raise
        except TransientError as error:  # a workspace that cannot be read now
            return Brought(self._unrecorded(key, ExecutionState.WAITING, error), None)
        if record.state is not ExecutionState.READY:
            return Brought(record, None)
        journal = self.pipeline.journal
        journal.commit([MoveExecution(record.id, ExecutionTrigger.CLAIMED)])
        outcome = self.pipeline.process(journal.execution(record.id))
        if outcome.error:
            raise outcome.error
        self.pipeline.sweep()
        states = Counter(file.state.value for file in journal.files(record.id))
        return Brought(outcome.record, states)

    def _ready(self, key: Key) -> ExecutionRecord:
        """Bring the journal to `ready`, or to `refused` where the directory is not ours."""
        prefix, rid = key
        if error := unusable_name(prefix, rid):
            return self._unrecorded(key, ExecutionState.REFUSED, error)
        record = self.pipeline.journal.open_execution(self.pipeline.server, str(prefix), rid)
        seen = self.pipeline.intake.look(prefix, rid)
        if seen is None:
            return self._move(record, ExecutionTrigger.REMOVED)
        if record.state is not ExecutionState.FILLING:
            back = EXECUTION_TRANSITIONS[record.state]
            changed = ExecutionTrigger.CHANGED
            record = self._move(record, changed if changed in back else ExecutionTrigger.APPEARED)
        facts: ExecutionFacts = {
            "digest": seen.digest(),
            "verdict": self._verdict(record),
            "next_at": None,
        }
        try:
            self.pipeline.intake.check_ours(
                prefix, rid, self.pipeline.catalog, insisted=record.ours
            )
        except RefusedError as error:
            return self._move(record, ExecutionTrigger.REJECTED, {**facts, **_sentence(rid, error)})
        return self._move(record, ExecutionTrigger.SETTLED, facts)

    def _verdict(self, record: ExecutionRecord) -> dict[str, Any]:
        """Say why it is uploaded; whoever does not know that the journal was lost cannot insist."""
        told = bool(record.verdict and record.verdict.get("insisted"))
        return _VERDICT | {"insisted": told or not self.pipeline.journal.set_aside()}

    def _unrecorded(self, key: Key, state: ExecutionState, error: TroubleError) -> ExecutionRecord:
        """Return where a directory stands that the journal has no such state of."""
        prefix, rid = key
        said, now = _sentence(rid, error), datetime.now(UTC)
        return ExecutionRecord(0, str(prefix), rid, self.pipeline.server, state, now, **said)

    def _move(
        self,
        record: ExecutionRecord,
        trigger: ExecutionTrigger,
        facts: ExecutionFacts | None = None,
    ) -> ExecutionRecord:
        self.pipeline.journal.commit([MoveExecution(record.id, trigger, facts or {})])
        return self.pipeline.journal.execution(record.id)


def _sentence(rid: str, error: TroubleError) -> ExecutionFacts:
    return {"what": error.what, "why": error.why, "next": error.next_for(rid)}


@contextmanager
def uploading(
    settings: Settings, emit: Emit, stop: threading.Event, watch: Watch
) -> Iterator[OneShot]:
    """Open the journal and the connection for a one-shot upload.

    Raises CredentialError without a credential, JournalHeldError while a daemon runs,
    UnusableSpecError where nothing can be uploaded by the bulk spec.
    """
    source = CredentialSource(settings.server.host, settings.server.credential_file)
    with (
        connect(settings, source, required=True) as (server, _),
        assemble(settings, server, emit, stop, watch) as pipeline,
    ):
        pipeline.journal.void_claims()
        for _ in Orders.of(settings).take(pipeline.journal):
            pass  # what a person said while no daemon ran counts
        server.session()
        pipeline.intake.spec(_model(pipeline.catalog))
        yield OneShot(pipeline)


@dataclass(frozen=True, slots=True)
class Preview:
    """The plan of a directory, *root*, and the bulk spec that it was made by.

    *rows* says what lies in its files of rows, by path; *prospect* whether it is complete.
    """

    plan: Plan
    spec: Spec
    root: str
    rows: Mapping[str, Count]
    prospect: Prospect


@contextmanager
def previewing(settings: Settings) -> Iterator[Callable[[Key], Preview | None]]:
    """Yield what tells the plan of a directory; nothing is written, here or on the server.

    It raises RefusedError for a directory that belongs elsewhere.
    """
    source = CredentialSource(settings.server.host, settings.server.credential_file)
    with connect(settings, source, required=True) as (server, _):
        catalog, intake = Ermrest(server, settings.server.catalog), Intake.of(settings)
        model = _model(catalog)
        spec = intake.spec(model)

        def preview(key: Key) -> Preview | None:
            if error := unusable_name(*key):
                raise error
            seen = intake.look(*key)
            if seen is None:
                return None
            intake.check_ours(*key, catalog)
            plan, disk = intake.plan(*key, seen, model, catalog), intake.directory(*key)
            rows = {each.path: count(disk, each) for each in plan.rows}
            known = prospect(intake, catalog, key, seen, _known(settings, key))
            return Preview(plan, spec, seen.root, rows, known)

        yield preview


def _known(settings: Settings, key: Key) -> ExecutionRecord | None:
    """Return what the journal has of a directory; None where there is none that can be read."""
    server = f"{settings.server.host}/{settings.server.catalog}"
    try:
        return open_readonly(settings.journal.url).find(server, str(key[0]), key[1])
    except TroubleError:
        return None


def specification(settings: Settings) -> tuple[Any, RefusedError | None]:
    """Return the bulk spec in force, as it is written, and why it cannot be used."""
    source = CredentialSource(settings.server.host, settings.server.credential_file)
    with connect(settings, source, required=True) as (server, _):
        model = _model(Ermrest(server, settings.server.catalog))
    specs = Intake.of(settings).specs
    try:
        specs.spec(model)
    except UnusableSpecError as error:
        return specs.document(model), error
    return specs.document(model), None


def _model(catalog: Catalog) -> CatalogModel:
    """Return the model of the catalog that the settings name.

    Raises SettingsError where it is not there, or may not be read.
    """
    try:
        return catalog.model()
    except RefusedError as error:
        raise SettingsError(error.what, error.why, error.next_for(None)) from error
