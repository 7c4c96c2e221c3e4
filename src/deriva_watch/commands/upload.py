"""One-shot upload, without the daemon."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from shlex import quote
from typing import Any, Final

from deriva_watch.commands.orders.apply import apply_orders
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.error_effects import Effect, classify
from deriva_watch.core.errors import (
    RefusedError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.events import Emit
from deriva_watch.core.orders.holds import Hold
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord, UploadResult
from deriva_watch.core.states import EXECUTION_TRANSITIONS, ExecutionState, ExecutionTrigger
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.host.spool import Orders
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.files.files import Watch
from deriva_watch.engine.ports import Catalog
from deriva_watch.pipeline.attempt import Attempts
from deriva_watch.pipeline.build import Parts, opened
from deriva_watch.pipeline.connection import read_model
from deriva_watch.pipeline.drop_plan import compiled_for
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.ownership import check_ours
from deriva_watch.pipeline.unit_paths import unusable_name
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings
from deriva_watch.watch.batch_former import BatchFormer
from deriva_watch.watch.folder_cache import FolderCache

_AT_REST: Final = {ExecutionState.UPLOADED, ExecutionState.GONE}
_VERDICT: Final = {"why": "a person asked for it: deriva-watch upload", "requested": True}


@dataclass(frozen=True, slots=True)
class OneShot:
    """Uploads directories one after the other.

    Attributes:
        settings: The settings.
        journal: Keeps their states.
        catalog: Where they are uploaded to.
        unit_reader: Reads them.
        attempts: Makes an attempt at one.
        holds: What a person has paused.
        emit: Where events go.
        orders: Orders of people; they are applied before each directory.
    """

    settings: Settings
    journal: Journal
    catalog: Catalog
    unit_reader: UnitReader
    attempts: Attempts
    holds: HoldCache
    emit: Emit
    orders: Orders | None = None

    @classmethod
    def of(cls, parts: Parts, orders: Orders | None = None) -> "OneShot":
        """Build it for the catalog of *parts*."""
        journal, catalog, reader = parts.journal, parts.catalog, parts.unit_reader
        attempts, holds = parts.attempts, parts.holds
        return cls(parts.settings, journal, catalog, reader, attempts, holds, parts.emit, orders)

    def apply_orders(self) -> None:
        """Apply pending orders; raise RefusedError while all work is paused."""
        if self.orders:
            for _ in apply_orders(self.orders, self.journal, self.holds, self.emit):
                pass
        if hold := self.holds.pause:
            said = hold.sentence()
            raise RefusedError(
                f"cannot upload: all work is {said['what']}", said["why"], said["next"]
            )

    def units(self, units: Iterable[Unit]) -> list[Unit]:
        """Return *units*, each drop folder with loose files replaced by its batches.

        Files that are in no batch yet become one now, without waiting. If some of them cannot be
        uploaded now, the loose files of the folder are returned too.

        Raises UnusableSpecError for a drop folder that the catalog cannot take.
        """
        units, catalog = list(units), self.catalog
        chunk_bytes = self.settings.transfer.chunk_bytes
        for drop in {unit.prefix: unit.drop for unit in units if unit.drop}.values():
            compiled_for(drop, read_model(catalog), catalog, chunk_bytes)
        return [each for unit in units for each in self._units(unit)]

    def _units(self, unit: Unit) -> list[Unit]:
        drop = unit.drop
        if drop is None or unit.kind is not UnitKind.LOOSE or drop.unit == "directory":
            return [unit]
        policy = unit.policy(self.settings.completion_policy)
        at_once = replace(policy, quiet_s=0, quiet_max_s=0)
        server = self.settings.server.name
        former = BatchFormer(self.journal, server, self.unit_reader, FolderCache())
        looked = former.look(replace(drop, batch_s=0), at_once)
        known = self.journal.executions(prefix=str(drop.path))
        ours = [each for each in known if each.server == server]
        pending = {each.rid for each in ours if each.state not in _AT_REST}
        pending |= {each.name for each in looked.also}
        return [Unit(drop.path, name, drop) for name in sorted(pending)] + (
            [unit] if looked.again_at or any(looked.problems.values()) else []
        )

    def upload(self, unit: Unit) -> UploadResult:
        """Upload one directory as far as possible now; return the result.

        Raises TransientError or CredentialError of the server: nothing more can be done.
        """
        try:
            self.apply_orders()
        except RefusedError as error:
            return UploadResult(self._unrecorded(unit, ExecutionState.REFUSED, error), None)
        try:
            record = self._ready(unit)
        except TransientError as error:  # a workspace that cannot be read now
            if classify(error, f"cannot upload {unit.label} now").effect is Effect.STOP_ALL:
                raise
            return UploadResult(self._unrecorded(unit, ExecutionState.WAITING, error), None)
        if record.state is not ExecutionState.READY:
            return UploadResult(record, None)
        journal = self.journal
        claimed = journal.move(record, ExecutionTrigger.CLAIMED)
        outcome = self.attempts.process(claimed)
        if outcome.error:
            raise outcome.error
        self.attempts.sweep()
        states = Counter(file.state.value for file in journal.files(record.id))
        return UploadResult(outcome.record, states)

    def _ready(self, unit: Unit) -> ExecutionRecord:
        """Move the unit to `ready` in the journal, or to `refused` if it is not ours."""
        if error := unusable_name(unit):
            return self._unrecorded(unit, ExecutionState.REFUSED, error)
        drop = unit.drop
        if drop and unit.kind is UnitKind.LOOSE:
            seen = self.unit_reader.look(unit)
            return self._unrecorded(unit, ExecutionState.REFUSED, _left_over(drop, seen))
        record = self.journal.open_execution(
            self.settings.server.name, str(unit.prefix), unit.name, drop.unit if drop else None
        )
        seen = self.unit_reader.look(unit)
        if seen is None:
            return self.journal.move(record, ExecutionTrigger.REMOVED)
        if hold := Hold.of(record.held):
            error = RefusedError(**hold.sentence(record.rid))
            return self._unrecorded(unit, ExecutionState.REFUSED, error)
        if record.state is not ExecutionState.FILLING:
            back = EXECUTION_TRANSITIONS[record.state]
            changed = ExecutionTrigger.CHANGED
            record = self.journal.move(
                record, changed if changed in back else ExecutionTrigger.APPEARED
            )
        facts: ExecutionFacts = {
            "digest": seen.digest(),
            "verdict": self._verdict(record),
            "next_at": None,
        }
        try:
            confirmed = self.settings.unit_of(record)
            check_ours(confirmed, seen.owner, self.settings, self.catalog)
        except RefusedError as error:
            said = error.sentence(record.rid)
            return self.journal.move(record, ExecutionTrigger.REFUSED, {**facts, **said})
        return self.journal.move(record, ExecutionTrigger.COMPLETED, facts)

    def _verdict(self, record: ExecutionRecord) -> dict[str, Any]:
        """Return why it is uploaded.

        After the loss of a journal, `upload` alone does not count as a request: the person may not
        know of the loss.
        """
        is_requested = record.is_requested or not self.journal.damaged_journals()
        return _VERDICT | {"requested": is_requested}

    def _unrecorded(
        self, unit: Unit, state: ExecutionState, error: TroubleError
    ) -> ExecutionRecord:
        """Return a record of *state* for a directory whose state is not in the journal."""
        said, now, server = error.sentence(unit.name), datetime.now(UTC), self.settings.server.name
        return ExecutionRecord(0, str(unit.prefix), unit.name, server, state, now, **said)


def _left_over(drop: Drop, seen: Observation | None) -> RefusedError:
    """Return the error for files of a drop folder that are in none of its units."""
    what = f"some files in {drop.path} are not uploaded"
    if seen and seen.unlisted:
        where, why = min(seen.unlisted.items())
        return RefusedError(what, f"{where}: {why}", "Let the user of deriva-watch read it.")
    if drop.unit == "directory":
        return RefusedError(
            what,
            'they are beside the directories, but unit = "directory" uploads only these',
            f"`deriva-watch plan {quote(str(drop.path))}` lists them; move them into a directory.",
        )
    return RefusedError(
        what, "somebody has them open for writing", "Upload again once they are closed."
    )


@contextmanager
def uploading(
    settings: Settings, emit: Emit, stop: threading.Event, watch: Watch
) -> Iterator[OneShot]:
    """Open the journal and the connection for a one-shot upload.

    Raises CredentialError without a credential, JournalHeldError while a daemon runs,
    RefusedError while all work is paused, UnusableSpecError where nothing can be uploaded by the
    bulk spec.
    """
    with opened(settings, emit, stop, watch) as (connection, parts):
        parts.journal.void_claims()
        one_shot = OneShot.of(parts, Orders(settings.state_directory / "orders"))
        one_shot.apply_orders()  # orders given while no daemon ran count
        connection.server.session()
        parts.specs.spec(read_model(parts.catalog))
        yield one_shot
