"""The changes that the journal accepts.

A change of state goes through `states`; it and the line of history that explains it are one
transaction, and its event follows the commit. A *note* changes facts without moving a state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deriva_watch.core.records import BatchRecord, ContentDigest, ExecutionFacts, FileFacts
from deriva_watch.core.states import ExecutionTrigger, FileTrigger


@dataclass(frozen=True, slots=True)
class MoveExecution:
    """Apply *trigger* to an execution and set *facts*.

    `what`, `why`, `next`, `next_at`, `basis` and `removal` are cleared unless given.
    """

    execution_id: int
    trigger: ExecutionTrigger
    facts: ExecutionFacts = field(default_factory=ExecutionFacts)
    report: Mapping[str, Any] = field(default_factory=dict)  # further fields of the event


@dataclass(frozen=True, slots=True)
class NoteExecution:
    """Set *facts* of an execution without moving it; no event."""

    execution_id: int
    facts: ExecutionFacts


@dataclass(frozen=True, slots=True)
class AddFile:
    """Add a file that is seen for the first time, in FileState.FOUND."""

    execution_id: int
    path: str
    facts: FileFacts


@dataclass(frozen=True, slots=True)
class MoveFile:
    """Apply *trigger* to a file and set *facts*; what/why/next are cleared unless given."""

    file_id: int
    trigger: FileTrigger
    facts: FileFacts = field(default_factory=FileFacts)
    seconds: float | None = None  # how long the step took, for the event


@dataclass(frozen=True, slots=True)
class NoteFile:
    """Set *facts* of a file without moving it, such as the chunks of its upload job; no event."""

    file_id: int
    facts: FileFacts


@dataclass(frozen=True, slots=True)
class KeepBatch:
    """Store the state of a batch of rows, replacing the known one; no event."""

    batch: BatchRecord


@dataclass(frozen=True, slots=True)
class KeepDigest:
    """Store the digests of a file, replacing the known ones; no event."""

    digest: ContentDigest


@dataclass(frozen=True, slots=True)
class DropDigests:
    """Delete all digests kept for an execution; no event."""

    execution_id: int


Change = (
    MoveExecution
    | NoteExecution
    | AddFile
    | MoveFile
    | NoteFile
    | KeepBatch
    | KeepDigest
    | DropDigests
)
