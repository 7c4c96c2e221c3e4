"""The engine without the daemon: bring directories in now, because a person says so."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deriva_watch.assembly import assemble, connect, read_model
from deriva_watch.core.errors import (
    RefusedError,
    ServerAwayError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.records import Brought, ExecutionFacts, ExecutionRecord, MoveExecution
from deriva_watch.core.states import EXECUTION_TRANSITIONS, ExecutionState, ExecutionTrigger
from deriva_watch.edges.credentials import CredentialSource
from deriva_watch.engine.files import Watch
from deriva_watch.engine.ports import Emit
from deriva_watch.intake import unusable_name
from deriva_watch.lookout import Key
from deriva_watch.orders import Orders
from deriva_watch.pipeline import Pipeline
from deriva_watch.settings import Settings

_VERDICT = {"why": "a person asked for it: deriva-watch upload", "insisted": True}


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
        pipeline.intake.spec(read_model(pipeline.catalog))
        yield OneShot(pipeline)
