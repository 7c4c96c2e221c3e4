"""The line of history of each change of state, and the event that reports it."""

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

from deriva_watch.core.events import ExecutionChanged, FileChanged
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger

# The columns of a line, in the order of `history_line`.
LINE: Final = ("execution_id", "file_id", "at", "trigger", "before", "after", "detail")

_COPIED: Final = tuple(
    {part.name for part in fields(FileChanged)} & {part.name for part in fields(FileRecord)}
)
_COPIES: Final = attrgetter(*_COPIED)


def execution_event(
    record: ExecutionRecord,
    before: ExecutionState | None,
    trigger: ExecutionTrigger | None,
    report: Mapping[str, Any],
) -> ExecutionChanged:
    """Return the event of an execution that moved to the state of *record*."""
    return ExecutionChanged(
        execution=record.rid,
        prefix=record.prefix,
        state=record.state,
        before=before,
        trigger=trigger,
        what=record.what,
        why=record.why,
        next=record.next,
        next_at=record.next_at.isoformat() if record.next_at else None,
        attempts=record.attempts,
        verdict=dict(record.verdict) if record.verdict else None,
        unit=record.unit,
        execution_rid=record.execution_rid,
        **report,
    )


def file_event(
    record: FileRecord,
    execution: str,
    before: FileState | None,
    trigger: FileTrigger | None,
    seconds: float | None,
) -> FileChanged:
    """Return the event of a file of *execution* that moved to the state of *record*."""
    return FileChanged(
        execution=execution,
        before=before,
        trigger=trigger,
        moved_to=(record.removal or {}).get("to"),
        seconds=seconds,
        **dict(zip(_COPIED, _COPIES(record), strict=True)),
    )


def history_line(
    record: ExecutionRecord | FileRecord,
    before: StrEnum | None,
    trigger: StrEnum | None,
    detail: Mapping[str, Any],
) -> tuple[Any, ...]:
    """Return the row of history of a move to the state of *record*; *detail* are further facts."""
    if isinstance(record, FileRecord):
        execution_id, file_id = record.execution_id, record.id
    else:
        execution_id, file_id = record.id, None
    return (
        execution_id,
        file_id,
        record.changed_at,
        trigger and trigger.value,
        before and before.value,
        record.state.value,
        {name: value for name, value in detail.items() if value is not None},
    )
