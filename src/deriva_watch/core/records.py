"""What the journal holds, as values, and the changes it accepts.

A change of state goes through `states`; it and the line of history that explains it are one
transaction, and its event follows the commit. A *note* changes facts without moving a state.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, TypedDict

from deriva_watch.core.layout import called, is_execution
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger

_INTERNAL: Final = {"internal": True}  # metadata of a field that `show` leaves out
_ON_SERVER: Final = {"on_server": True}  # metadata of a field that says what the server holds


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """An execution directory, or a unit of a drop folder, as the journal knows it.

    Attributes:
        id: Number in this journal.
        prefix: The folder that holds `deriva-ml/`, or the drop folder.
        rid: Name of the directory, the RID of its Execution; or name of the unit.
        server: "host/catalog" that it goes to.
        state: Where it stands.
        changed_at: When it came there, UTC.
        next_at: When it is looked at or tried again, UTC, or None.
        attempts: Failed attempts in a row.
        digest: Of the observation that the last plan was made from (`Observation.digest`).
        verdict: Why it counts as complete, with the evidence.
        what, why, next: The sentence for a person, where it was refused or waits.
        status_set: The Status that we ourselves wrote last into the catalog's row.
        ours: A person said `--this-catalog`: the directory belongs here whatever the signs say.
        basis: What a refusal rests on (digest of bulk spec, model, identity); when that changes it
            is tried again.
        unit: Of a drop folder, "directory", "batch" or "none"; None: deriva-ml's own directory.
        execution_rid: RID of the Execution that we make for the unit: leased, and kept here, before
            there is a row of it.
        removal: Of one that is uploaded, whose files are to be removed: `since_s`, the host's
            uptime when it was noticed; `what`, `why`, `next` where something keeps files; `done`,
            once none is left.
        held: A person holds it back; see `holds.Hold`.
    """

    id: int = field(metadata=_INTERNAL)
    prefix: str
    rid: str
    server: str
    state: ExecutionState
    changed_at: datetime
    next_at: datetime | None = None
    attempts: int = 0
    digest: str | None = None
    verdict: Mapping[str, Any] | None = None
    what: str | None = None
    why: str | None = None
    next: str | None = None
    status_set: str | None = None
    ours: bool = False
    basis: str | None = None
    unit: str | None = None
    execution_rid: str | None = None
    removal: Mapping[str, Any] | None = None
    held: Mapping[str, Any] | None = None

    @property
    def links_to(self) -> str | None:
        """RID of the Execution that its files are linked to, or None."""
        if self.unit:
            return self.execution_rid
        return self.rid if is_execution(self.rid) else None

    @property
    def called(self) -> str:
        """What a sentence calls it."""
        return f"unit {self.rid}" if self.unit else called(self.rid)


class ExecutionFacts(TypedDict, total=False):
    """Columns of an execution that a change may set; names as in `ExecutionRecord`."""

    next_at: datetime | None
    attempts: int
    digest: str | None
    verdict: Mapping[str, Any] | None
    what: str | None
    why: str | None
    next: str | None
    status_set: str | None
    ours: bool
    basis: str | None
    execution_rid: str | None
    removal: Mapping[str, Any] | None
    held: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as the journal knows it.

    Attributes:
        id: Number in this journal.
        execution_id: Its execution's number.
        path: Below the execution directory, as `Entry.path`.
        state: Where it stands.
        changed_at: When it came there, UTC.
        size_bytes, mtime_ns, device, inode: The stamp of the content that the digests describe.
        statement: What the manifest, the path and the type files say of it (digest of the plan).
        md5, sha256: Hexadecimal.
        table: "schema:table" of its asset row.
        url: The object version that holds its bytes.
        rid: RID of its row.
        adopted: The row was there before; it was not made by us.
        job: Upload job that is open for it: url, chunk_bytes, md5, chunks already acknowledged;
            resumed: when this process began to send, and what was acknowledged before.
        rows: How many of its rows are in the catalog, where it is a file of rows.
        names: What the templates of its mapping took from elsewhere when it was hashed (answers of
            queries, the time), so that another attempt makes the same object and row of it.
        what, why, next: The sentence for a person, where it was refused.
        types: Its asset types, once it has a row: what is left to link if the file vanishes.
        removal: Of one that is being removed by us, or is: `to`, where it was moved to, below the
            folder that it was dropped in; None: it was deleted, or is being removed.
        held: A person has cancelled it; see `holds.Hold`.
    """

    id: int = field(metadata=_INTERNAL)
    execution_id: int = field(metadata=_INTERNAL)
    path: str
    state: FileState
    changed_at: datetime
    size_bytes: int = field(default=0, metadata=_ON_SERVER)
    mtime_ns: int = field(default=0, metadata=_INTERNAL)
    device: int = field(default=0, metadata=_INTERNAL)
    inode: int = field(default=0, metadata=_INTERNAL)
    statement: str | None = field(default=None, metadata=_INTERNAL)
    md5: str | None = field(default=None, metadata=_ON_SERVER)
    sha256: str | None = field(default=None, metadata=_ON_SERVER)
    table: str | None = field(default=None, metadata=_ON_SERVER)
    url: str | None = field(default=None, metadata=_ON_SERVER)
    rid: str | None = field(default=None, metadata=_ON_SERVER)
    adopted: bool = False
    rows: int | None = field(default=None, metadata=_ON_SERVER)
    job: Mapping[str, Any] | None = field(default=None, metadata=_INTERNAL)
    names: Mapping[str, Any] | None = field(default=None, metadata=_INTERNAL)
    types: Sequence[str] | None = field(default=None, metadata=_INTERNAL)
    removal: Mapping[str, Any] | None = None
    held: Mapping[str, Any] | None = None
    what: str | None = None
    why: str | None = None
    next: str | None = None

    @property
    def stamp(self) -> tuple[int, int, int, int]:
        """As `Entry.stamp`."""
        return self.size_bytes, self.mtime_ns, self.device, self.inode


class FileFacts(TypedDict, total=False):
    """Columns of a file that a change may set; names as in `FileRecord`."""

    size_bytes: int
    mtime_ns: int
    device: int
    inode: int
    statement: str | None
    md5: str | None
    sha256: str | None
    table: str | None
    url: str | None
    rid: str | None
    adopted: bool
    job: Mapping[str, Any] | None
    names: Mapping[str, Any] | None
    rows: int | None
    what: str | None
    why: str | None
    next: str | None
    types: Sequence[str] | None
    removal: Mapping[str, Any] | None
    held: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """Rows of a file of rows that were one request; see `core.ledger.Batch`.

    Attributes:
        file_id: The file's number.
        first: Place of the first row in the sequence of the file's rows.
        digests: Of the rows, one after the other.
        rids: The RIDs that the rows are given, None for those that have a key.
        recorded: What became of them is known.
    """

    file_id: int
    first: int
    digests: bytes
    rids: Sequence[str | None] | None
    recorded: bool


@dataclass(frozen=True, slots=True)
class ContentDigest:
    """The digests of a content that was read before its directory was complete.

    Attributes:
        execution_id: The number of its execution.
        size_bytes, mtime_ns, device, inode: The stamp of the content, as `Entry.stamp`.
        md5, sha256: Hexadecimal.
    """

    execution_id: int
    size_bytes: int
    mtime_ns: int
    device: int
    inode: int
    md5: str
    sha256: str

    @property
    def stamp(self) -> tuple[int, int, int, int]:
        """As `Entry.stamp`."""
        return self.size_bytes, self.mtime_ns, self.device, self.inode


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """A line of history: how an execution or one of its files came to a state.

    Attributes:
        id: Number in this journal; the order of events.
        execution_id: The execution's number.
        file_id: The file's number; None: the execution itself moved.
        at: When, UTC.
        trigger: What moved it; None: it was seen for the first time.
        before: The state it left, or None.
        after: The state it came to.
        detail: The facts that were set with it, and what was reported.
    """

    id: int = field(metadata=_INTERNAL)
    execution_id: int = field(metadata=_INTERNAL)
    file_id: int | None = field(metadata=_INTERNAL)
    at: datetime
    trigger: str | None
    before: str | None
    after: str
    detail: Mapping[str, Any]


def shown_fields(kind: type[ExecutionRecord | FileRecord | HistoryRecord]) -> tuple[str, ...]:
    """Return the names of the fields that `show` prints of a record, in order."""
    return tuple(part.name for part in fields(kind) if not part.metadata.get("internal"))


# The fields that say what the server holds of a file: events and receipts carry them too.
ON_SERVER: Final = tuple(part.name for part in fields(FileRecord) if part.metadata.get("on_server"))


@dataclass(frozen=True, slots=True)
class DamagedJournal:
    """A damaged journal that this one comes after: what it knew may have been sent.

    Attributes:
        at: When this one began, UTC.
        path: Where the other one lies.
        why: What was wrong with it.
    """

    at: datetime
    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Brought:
    """Where a person's upload left an execution.

    Attributes:
        record: The execution.
        files: Its files by state; None where the directory was refused before any was looked at.
    """

    record: ExecutionRecord
    files: Counter[str] | None

    @property
    def nothing_matched(self) -> bool:
        """Tell whether no file of it fits the bulk spec."""
        no_match = {FileState.UNMATCHED, FileState.IGNORED}
        return self.files is not None and self.files.keys() <= no_match


@dataclass(frozen=True, slots=True)
class MoveExecution:
    """Apply *trigger* to an execution and set *facts*.

    What, why, next, next_at, basis and removal belong to one stay in a state: they are cleared
    unless given.
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
    """A file seen for the first time: it enters in FileState.FOUND."""

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
    """Set *facts* of a file without moving it, such as the chunks an upload job has; no event."""

    file_id: int
    facts: FileFacts


@dataclass(frozen=True, slots=True)
class KeepBatch:
    """Write down where a batch of rows stands, in place of what was known of it; no event."""

    batch: BatchRecord


@dataclass(frozen=True, slots=True)
class KeepDigest:
    """Write down the digests of a content, in place of what was known of that file; no event."""

    digest: ContentDigest


@dataclass(frozen=True, slots=True)
class DropDigests:
    """Forget all digests that were kept for an execution; no event."""

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
