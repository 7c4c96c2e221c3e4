"""What is told of a change: the event that follows its commit and its line of history."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from deriva_watch.core.events import ExecutionChanged, FileChanged
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger


def execution_event(
    record: ExecutionRecord,
    before: ExecutionState | None,
    trigger: ExecutionTrigger | None,
    report: Mapping[str, Any],
) -> ExecutionChanged:
    """Return the event of an execution that came to where *record* stands."""
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
    """Return the event of a file of *execution* that came to where *record* stands."""
    return FileChanged(
        execution=execution,
        path=record.path,
        state=record.state,
        before=before,
        trigger=trigger,
        table=record.table,
        size_bytes=record.size_bytes,
        md5=record.md5,
        sha256=record.sha256,
        url=record.url,
        rid=record.rid,
        rows=record.rows,
        moved_to=(record.removal or {}).get("to"),
        seconds=seconds,
        what=record.what,
        why=record.why,
        next=record.next,
    )


def history_line(
    record: ExecutionRecord | FileRecord,
    before: StrEnum | None,
    trigger: StrEnum | None,
    detail: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the row of history of the same move; *detail* is what was said with it."""
    if isinstance(record, FileRecord):
        execution_id, file_id = record.execution_id, record.id
    else:
        execution_id, file_id = record.id, None
    return {
        "execution_id": execution_id,
        "file_id": file_id,
        "at": record.changed_at,
        "trigger": trigger and trigger.value,
        "before": before and before.value,
        "after": record.state.value,
        "detail": {name: value for name, value in detail.items() if value is not None},
    }
