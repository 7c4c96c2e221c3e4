"""One transaction: states move by `core.states` alone, and each move leaves a line of history."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from deriva_watch.core.changes import (
    AddFile,
    Change,
    DropDigests,
    KeepBatch,
    KeepDigest,
    MoveExecution,
    MoveFile,
    NoteExecution,
    NoteFile,
)
from deriva_watch.core.events import Event
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.records import (
    ExecutionFacts,
    ExecutionRecord,
    FileFacts,
    FileRecord,
)
from deriva_watch.core.removal.removal import Uptime
from deriva_watch.core.removal.reverification import Proof
from deriva_watch.core.states import (
    UNDONE,
    ExecutionState,
    ExecutionTrigger,
    FileState,
    FileTrigger,
    execution_after,
    file_after,
)
from deriva_watch.core.stats.day import KEPT, Sample
from deriva_watch.edges.journal.history import execution_event, file_event, history_line
from deriva_watch.edges.journal.queries import same_unit
from deriva_watch.edges.journal.row_cache import FileCounts, RowCache
from deriva_watch.edges.journal.schema import (
    digest,
    execution,
    file,
    pause,
    sample,
    uptime,
)
from deriva_watch.edges.journal.stored_tables import StoredTables

_TOGETHER: Final = 2000
_UNSAID: Final = {"what": None, "why": None, "next": None}
_OF_ONE_STAY: Final = {"next_at": None, "basis": None, "removal": None}
_IN_CATALOG: Final = {FileState.RECORDED, FileState.LINKED, FileState.ELSEWHERE}


class Batch(NamedTuple):
    """The identity of a batch of a drop folder."""

    server: str
    prefix: str
    rid: str
    unit: str


class Transaction:
    """The changes of one transaction, and the events to emit after its commit."""

    def __init__(self, connection: Connection, stored: StoredTables, now: datetime) -> None:
        self._connection = connection
        self._stored = stored
        self._now = now.astimezone(UTC)
        self._executions = RowCache(connection, stored.executions)
        self._files = RowCache(connection, stored.files)
        self._file_counts = FileCounts(connection, stored.file_count)
        self._history: list[tuple[Any, ...]] = []
        self.events: list[Event] = []

    def load(self, changes: Sequence[Change]) -> None:
        """Read the rows that *changes* refer to; raise KeyError for an unknown file."""
        files = {change.file_id for change in changes if isinstance(change, MoveFile | NoteFile)}
        whole = AddFile | MoveExecution | NoteExecution
        named = {change.execution_id for change in changes if isinstance(change, whole)}
        self._files.load(files)
        self._executions.load(named | {self._files[number].execution_id for number in files})

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """Apply *changes* in order and return the number of the record that each one changed."""
        self.load(changes)
        added = self._add([change for change in changes if isinstance(change, AddFile)])
        return [self._apply(change, added) for change in changes]

    def open_execution(
        self, server: str, prefix: str, rid: str, unit: str | None = None
    ) -> ExecutionRecord:
        """Return the execution of a directory; a new one starts in FILLING."""
        number = self._connection.scalar(
            select(execution.c.id).where(*same_unit(server, prefix, rid))
        )
        if number is not None:
            self._executions.load({number})
            return self._executions[number]
        state = ExecutionState.FILLING
        new = ExecutionRecord(0, prefix, rid, server, state, self._now, unit=unit)
        [new] = self._executions.add([new])
        self._report_execution(new, None, None, {}, {})
        return new

    def open_batch(
        self, opened: Batch, members: Mapping[str, FileFacts], facts: ExecutionFacts
    ) -> ExecutionRecord:
        """Add a batch of a drop folder, in READY, with all its files."""
        taken = same_unit(opened.server, opened.prefix, opened.rid)
        if self._connection.scalar(select(execution.c.id).where(*taken)) is not None:
            raise ValueError(f"there is a {opened.rid} already")
        new = self.open_execution(*opened)
        adding = (AddFile(new.id, path, said) for path, said in members.items())
        while part := list(islice(adding, _TOGETHER)):  # so that not all rows are in memory
            self.apply(part)
            self.write()
        self.apply([MoveExecution(new.id, ExecutionTrigger.COMPLETED, facts)])
        return self._executions[new.id]

    def claim(self, server: str | None, closed: Collection[str]) -> ExecutionRecord | None:
        """Move the oldest ready execution to UPLOADING; see `Journal.claim`."""
        self.write()
        ready = select(execution.c.id).where(execution.c.state == ExecutionState.READY)
        if server is not None:
            ready = ready.where(execution.c.server == server)
        if closed:
            ready = ready.where(execution.c.prefix.not_in(closed))
        oldest = ready.order_by(execution.c.changed_at, execution.c.id).limit(1)
        number = self._connection.scalar(oldest.with_for_update(skip_locked=True))
        if number is None:
            return None
        self.apply([MoveExecution(number, ExecutionTrigger.CLAIMED)])
        return self._executions[number]

    def void_claims(self) -> list[int]:
        """Move what a dead daemon left in UPLOADING back to READY."""
        self.write()
        left = select(execution.c.id).where(execution.c.state == ExecutionState.UPLOADING)
        numbers = self._connection.scalars(left.order_by(execution.c.id)).all()
        return self.apply([MoveExecution(i, ExecutionTrigger.INTERRUPTED) for i in numbers])

    # ------------------------------------------------------------------ holds

    def hold(self, number: int, hold: Hold) -> None:
        """Hold an execution: now, or when the worker that has it finishes."""
        self._executions.load({number})
        new = self._executions.change(number, {"held": hold.document()})
        self._follow_hold(new)

    def release(self, number: int, kind: HoldKind, facts: ExecutionFacts) -> None:
        """End the hold of an execution and set *facts*; do nothing if it has no hold of *kind*."""
        self._executions.load({number})
        known = self._executions[number]
        hold = Hold.of(known.held)
        if hold is None or hold.kind is not kind:
            return
        self._executions.change(number, {"held": None, **facts})
        if kind is HoldKind.CANCELLED and known.state is ExecutionState.REFUSED:
            self._moved(MoveExecution(number, ExecutionTrigger.RETRIED, facts))
        elif known.state is ExecutionState.WAITING and known.next_at is None:
            self._moved(MoveExecution(number, ExecutionTrigger.RESUMED, facts))

    def hold_file(self, number: int, path: str, hold: Hold) -> bool:
        """Cancel a file of an execution; return False if the caller must try again later.

        A file in the catalog stays there. If a worker has the execution, the worker refuses the
        file; False: the worker does not know the file yet.
        """
        self._executions.load({number})
        owner = self._executions[number]
        is_taken = owner.state is ExecutionState.UPLOADING
        place = (file.c.execution_id == number) & (file.c.path == path)
        known = self._connection.scalar(select(file.c.id).where(place))
        if known is None and is_taken:
            return False
        if known is None:
            [known] = self.apply([AddFile(number, path, {})])
        self._files.load({known})
        state, said = self._files[known].state, hold.sentence(owner.rid, path)
        facts: FileFacts = {"held": hold.document()}
        if is_taken and state not in _IN_CATALOG:
            self._files.change(known, facts)
        elif state in UNDONE:
            self._move_file(MoveFile(known, FileTrigger.REFUSED, {**facts, **said}))
        elif state is FileState.REFUSED:
            self._files.change(known, {**facts, **said})
        return True

    def release_file(self, number: int, path: str) -> None:
        """End the hold of a file: the next attempt at its execution includes it."""
        place = (file.c.execution_id == number) & (file.c.path == path)
        known = self._connection.scalar(select(file.c.id).where(place))
        if known is not None:
            self._files.load({known})
            self._files.change(known, {"held": None})

    def pause(self, hold: Hold | None) -> None:
        """Pause all work; None ends the pause."""
        self._connection.execute(delete(pause))
        if hold:
            self._connection.execute(insert(pause), {"held": hold.document()})

    def _follow_hold(self, record: ExecutionRecord) -> None:
        """Apply the hold of an execution to the state that it has just entered."""
        hold = Hold.of(record.held)
        if hold is None:
            return
        if trigger := hold.trigger(record.state):
            facts: ExecutionFacts = {"next_at": None}
            said = hold.sentence(record.rid)
            self._moved(MoveExecution(record.id, trigger, {**facts, **said}))
        elif hold.kind is HoldKind.CANCELLED and record.state is ExecutionState.UPLOADED:
            self._executions.change(record.id, {"held": None})  # it came too late

    # ------------------------------------------------------------------ the host

    def uptime_s(self, boot: str, boot_s: float) -> float:
        """Return how many seconds this host has been on since the first call for this journal."""
        known = self._connection.execute(select(uptime)).first()
        new = Uptime(*known).later(boot, boot_s) if known else Uptime(boot, boot_s, 0.0)
        self._connection.execute(delete(uptime))
        self._connection.execute(insert(uptime), asdict(new))
        return new.total_s

    def keep_sample(self, new: Sample) -> None:
        """Store a sample; if there is one of the same step, the sent bytes add up."""
        same = sample.c.at == new.at
        sent_bytes = new.sent_bytes + (
            self._connection.scalar(select(sample.c.sent_bytes).where(same)) or 0
        )
        self._connection.execute(delete(sample).where(same | (sample.c.at < new.at - KEPT)))
        self._connection.execute(insert(sample), asdict(replace(new, sent_bytes=sent_bytes)))

    def write(self) -> None:
        """Write all changes that are not written yet."""
        self._executions.write()
        self._files.write()
        self._file_counts.write()
        self._stored.add_history(self._connection, self._history)
        self._history.clear()

    def remember(self) -> None:
        """Keep the rows for the next transaction: this one is durable."""
        self._executions.remember()
        self._files.remember()

    def _add(self, additions: Sequence[AddFile]) -> Iterator[FileRecord]:
        owners = [self._executions[new.execution_id].id for new in additions]
        new = [
            FileRecord(0, owner, new.path, FileState.FOUND, self._now, **new.facts)
            for owner, new in zip(owners, additions, strict=True)
        ]
        try:
            added = self._files.add(new)
        except IntegrityError:
            raise ValueError("a file is added that the journal has already") from None
        for each in added:
            self._file_counts.moved(None, each)
        return iter(added)

    def _apply(self, change: Change, added: Iterator[FileRecord]) -> int:
        match change:
            case AddFile():
                new = next(added)
                self._report_file(new, None, None, change.facts, None)
                return new.id
            case MoveFile():
                return self._move_file(change)
            case MoveExecution():
                return self._move_execution(change)
            case NoteFile():
                return self._change_file(change.file_id, change.facts).id
            case KeepBatch() | KeepDigest() | DropDigests():
                return self._keep(change)
            case NoteExecution():
                return self._executions.change(change.execution_id, change.facts).id

    def _keep(self, change: KeepBatch | KeepDigest | DropDigests) -> int:
        """Write a row that has no state, replacing the existing one."""
        match change:
            case KeepBatch(kept):
                self._stored.keep_batch(self._connection, kept)
                return kept.file_id
            case KeepDigest(known):
                self._stored.keep_digest(self._connection, known)
                return known.execution_id
            case DropDigests(number):
                self._connection.execute(delete(digest).where(digest.c.execution_id == number))
                return number

    def _move_file(self, change: MoveFile) -> int:
        before = self._files[change.file_id].state
        moved = {"state": file_after(before, change.trigger), "changed_at": self._now}
        late = {"held": None} if moved["state"] in _IN_CATALOG else {}
        new = self._change_file(change.file_id, {**_UNSAID, **change.facts, **moved, **late})
        self._report_file(new, before, change.trigger, change.facts, change.seconds)
        return new.id

    def _change_file(self, number: int, facts: Mapping[str, Any]) -> FileRecord:
        before, after = self._files[number], self._files.change(number, facts)
        self._file_counts.moved(before, after)
        return after

    def _move_execution(self, change: MoveExecution) -> int:
        self._follow_hold(self._moved(change))
        return change.execution_id

    def _moved(self, change: MoveExecution) -> ExecutionRecord:
        known = self._executions[change.execution_id]
        before, after = known.state, execution_after(known.state, change.trigger)
        moved: dict[str, Any] = {"state": after, "changed_at": self._now}
        if after is ExecutionState.UPLOADED and known.proved_at is None:
            proof = {"by": Proof.UPLOAD.value}
            moved |= {"verified_at": self._now, "proved_at": self._now, "proof": proof}
        facts = {**_UNSAID, **_OF_ONE_STAY, **change.facts, **moved}
        new = self._executions.change(change.execution_id, facts)
        self._report_execution(new, before, change.trigger, change.facts, change.report)
        return new

    def _report_file(
        self,
        new: FileRecord,
        before: FileState | None,
        trigger: FileTrigger | None,
        facts: Mapping[str, Any],
        seconds: float | None,
    ) -> None:
        self._history.append(history_line(new, before, trigger, {**facts, "seconds": seconds}))
        rid = self._executions[new.execution_id].rid
        self.events.append(file_event(new, rid, before, trigger, seconds))

    def _report_execution(
        self,
        new: ExecutionRecord,
        before: ExecutionState | None,
        trigger: ExecutionTrigger | None,
        facts: Mapping[str, Any],
        report: Mapping[str, Any],
    ) -> None:
        self._history.append(history_line(new, before, trigger, {**facts, **report}))
        self.events.append(execution_event(new, before, trigger, report))
