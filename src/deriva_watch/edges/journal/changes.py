"""One transaction: rows are read, moved by `core.states`, and written back with their history.

Rows are kept as records while the transaction lasts, so that a thousand changes cost a few
statements; `flush` writes them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from deriva_watch.core.events import Event
from deriva_watch.core.records import (
    AddFile,
    Change,
    ExecutionRecord,
    FileRecord,
    MoveExecution,
    MoveFile,
    NoteExecution,
    NoteFile,
)
from deriva_watch.core.states import (
    ExecutionState,
    ExecutionTrigger,
    FileState,
    FileTrigger,
    execution_after,
    file_after,
)
from deriva_watch.edges.journal.reads import EXECUTION, FILE, LIST_LENGTH, same
from deriva_watch.edges.journal.schema import execution, file, history
from deriva_watch.edges.journal.telling import execution_event, file_event, history_line

_MOVED: Final = ("state", "changed_at", "what", "why", "next")
_UNSAID: Final[dict[str, Any]] = {"what": None, "why": None, "next": None}


class Changes:
    """The changes of one transaction, and the events that follow its commit."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._executions: dict[int, ExecutionRecord] = {}
        self._files: dict[int, FileRecord] = {}
        self._touched_executions: defaultdict[int, set[str]] = defaultdict(set)
        self._touched_files: defaultdict[int, set[str]] = defaultdict(set)
        self._history: list[dict[str, Any]] = []
        self.events: list[Event] = []

    def load(self, changes: Sequence[Change]) -> None:
        """Read the rows that *changes* speak of, unless they are here."""
        numbers = {change.file_id for change in changes if isinstance(change, MoveFile | NoteFile)}
        for row in self._read(FILE, file, numbers - self._files.keys()):
            self._files[row[0]] = FileRecord(*row)
        numbers = {self._files[i].execution_id for i in numbers & self._files.keys()}
        numbers |= {c.execution_id for c in changes if not isinstance(c, MoveFile | NoteFile)}
        for row in self._read(EXECUTION, execution, numbers - self._executions.keys()):
            self._executions[row[0]] = ExecutionRecord(*row)

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """Apply *changes* in order and return the number of what each of them changed."""
        self.load(changes)
        added = iter(self._insert([change for change in changes if isinstance(change, AddFile)]))
        return [self._apply(change, added) for change in changes]

    def open_execution(self, server: str, prefix: str, rid: str) -> ExecutionRecord:
        """Return the execution of that directory; a new one enters in FILLING."""
        self.flush()
        for row in self._connection.execute(EXECUTION.where(*same(server, prefix, rid))):
            return ExecutionRecord(*row)
        new = ExecutionRecord(0, prefix, rid, server, ExecutionState.FILLING, self._now)
        adding = insert(execution).returning(execution.c.id)
        number = self._connection.execute(adding, _values(new)).scalar_one()
        new = replace(new, id=number)
        self._executions[number] = new
        self._tell_execution(new, None, None, {}, {})
        return new

    def claim(self) -> ExecutionRecord | None:
        """Move the oldest ready execution to UPLOADING."""
        self.flush()
        ready = select(execution.c.id).where(execution.c.state == ExecutionState.READY)
        oldest = ready.order_by(execution.c.changed_at, execution.c.id).limit(1)
        number = self._connection.scalar(oldest.with_for_update(skip_locked=True))
        if number is None:
            return None
        self.apply([MoveExecution(number, ExecutionTrigger.CLAIMED)])
        return self._executions[number]

    def void_claims(self) -> list[int]:
        """Move what a dead daemon left in UPLOADING back to READY."""
        self.flush()
        left = select(execution.c.id).where(execution.c.state == ExecutionState.UPLOADING)
        numbers = self._connection.scalars(left.order_by(execution.c.id)).all()
        return self.apply([MoveExecution(i, ExecutionTrigger.INTERRUPTED) for i in numbers])

    def flush(self) -> None:
        """Write what was changed since the last time."""
        self._update(execution, self._executions, self._touched_executions)
        self._update(file, self._files, self._touched_files)
        if self._history:
            self._connection.execute(insert(history), self._history)
            self._history = []

    def _update(
        self,
        table: Table,
        records: Mapping[int, ExecutionRecord | FileRecord],
        touched: dict[int, set[str]],
    ) -> None:
        """Write the columns that changed: one statement for all rows where they are the same."""
        groups: defaultdict[frozenset[str], list[dict[str, Any]]] = defaultdict(list)
        for number, names in touched.items():
            if names:
                values = {name: getattr(records[number], name) for name in names}
                groups[frozenset(names)].append({"number": number, **values})
        statement = update(table).where(table.c.id == bindparam("number"))
        for rows in groups.values():
            self._connection.execute(statement, rows)
        touched.clear()

    def _read(self, query: Select[Any], table: Table, numbers: Iterable[int]) -> Iterator[Any]:
        asked = sorted(numbers)
        for start in range(0, len(asked), LIST_LENGTH):
            part = query.where(table.c.id.in_(asked[start : start + LIST_LENGTH]))
            yield from self._connection.execute(part.with_for_update())

    def _insert(self, additions: Sequence[AddFile]) -> Iterator[FileRecord]:
        records = [
            FileRecord(
                0,
                self._executions[new.execution_id].id,
                new.path,
                FileState.FOUND,
                self._now,
                **new.facts,
            )
            for new in additions
        ]
        if records:
            adding = insert(file).returning(file.c.id, sort_by_parameter_order=True)
            try:
                numbers = self._connection.scalars(adding, [_values(new) for new in records]).all()
            except IntegrityError:
                raise ValueError("a file is added that the journal has already") from None
            records = [replace(new, id=i) for new, i in zip(records, numbers, strict=True)]
        return iter(records)

    def _apply(self, change: Change, added: Iterator[FileRecord]) -> int:
        match change:
            case AddFile():
                new = next(added)
                self._tell_file(new, None, None, change.facts, None)
                return new.id
            case MoveFile():
                return self._move_file(change)
            case MoveExecution():
                return self._move_execution(change)
            case NoteFile():
                number = change.file_id
                self._files[number] = replace(self._files[number], **change.facts)
                self._touched_files[number].update(change.facts)
                return number
            case NoteExecution():
                number = change.execution_id
                self._executions[number] = replace(self._executions[number], **change.facts)
                self._touched_executions[number].update(change.facts)
                return number

    def _move_file(self, change: MoveFile) -> int:
        old = self._files[change.file_id]
        facts: dict[str, Any] = {**_UNSAID, **change.facts}
        state = file_after(old.state, change.trigger)
        new = replace(old, **facts, state=state, changed_at=self._now)
        self._files[new.id] = new
        self._touched_files[new.id].update(_MOVED, change.facts)
        self._tell_file(new, old.state, change.trigger, change.facts, change.seconds)
        return new.id

    def _move_execution(self, change: MoveExecution) -> int:
        old = self._executions[change.execution_id]
        facts: dict[str, Any] = {**_UNSAID, "next_at": None, **change.facts}
        state = execution_after(old.state, change.trigger)
        new = replace(old, **facts, state=state, changed_at=self._now)
        self._executions[new.id] = new
        self._touched_executions[new.id].update(_MOVED, ("next_at",), change.facts)
        self._tell_execution(new, old.state, change.trigger, change.facts, change.report)
        return new.id

    def _tell_file(
        self,
        new: FileRecord,
        before: FileState | None,
        trigger: FileTrigger | None,
        facts: Mapping[str, Any],
        seconds: float | None,
    ) -> None:
        detail = {**facts, "seconds": seconds}
        self._history.append(
            history_line(new.execution_id, new.id, self._now, trigger, before, new.state, detail)
        )
        rid = self._executions[new.execution_id].rid
        self.events.append(file_event(new, rid, before, trigger, seconds))

    def _tell_execution(
        self,
        new: ExecutionRecord,
        before: ExecutionState | None,
        trigger: ExecutionTrigger | None,
        facts: Mapping[str, Any],
        report: Mapping[str, Any],
    ) -> None:
        detail = {**facts, **report}
        self._history.append(
            history_line(new.id, None, self._now, trigger, before, new.state, detail)
        )
        self.events.append(execution_event(new, before, trigger, report))


def _values(record: ExecutionRecord | FileRecord) -> dict[str, Any]:
    return {part.name: getattr(record, part.name) for part in fields(record) if part.name != "id"}
