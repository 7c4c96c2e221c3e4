"""What is told of a change: the event that follows its commit and its line of history."""

from collections.abc import Mapping
from datetime import datetime
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
        seconds=seconds,
        what=record.what,
        why=record.why,
        next=record.next,
    )


def history_line(  # noqa: PLR0913, PLR0917 - the columns of the table
    execution_id: int,
    file_id: int | None,
    at: datetime,
    trigger: StrEnum | None,
    before: StrEnum | None,
    after: StrEnum,
    detail: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a row of the history; *detail* is what was said with the change."""
    return {
        "execution_id": execution_id,
        "file_id": file_id,
        "at": at,
        "trigger": trigger and trigger.value,
        "before": before and before.value,
        "after": after.value,
        "detail": {name: value for name, value in detail.items() if value is not None},
    }
