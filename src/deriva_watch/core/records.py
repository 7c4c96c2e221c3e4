"""What the journal holds, as values."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, TypedDict

from deriva_watch.core.completeness.observation import Stamp
from deriva_watch.core.layout import is_execution, label_of
from deriva_watch.core.states import ExecutionState, FileState

_INTERNAL: Final = {"internal": True}  # metadata of a field that `show` leaves out
_ON_SERVER: Final = {"on_server": True}  # metadata of a field that says what the server holds


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """An execution directory, or a unit of a drop folder, as the journal knows it.

    Attributes:
        id: Number in this journal.
        prefix: The folder that holds `deriva-ml/`, or the drop folder.
        rid: Name of the directory, the RID of its Execution; or name of the unit.
        server: "host/catalog" where it is uploaded to.
        state: Its state.
        changed_at: When it entered that state, UTC.
        next_at: Time of the next look or attempt, UTC, or None.
        attempts: Failed attempts in a row.
        digest: Of the observation that the last plan was made from (`Observation.digest`).
        verdict: Why it counts as complete, with the evidence.
        what, why, next: The sentence for a person, if it was refused or waits.
        status_set: The Status that we last wrote into the catalog's row.
        ours: A person said `--this-catalog`: the directory belongs here despite other evidence.
        basis: Digest of the inputs of a refusal (bulk spec, model, identity); the execution is
            tried again when they change.
        unit: In a drop folder, "directory", "batch" or "none"; None: deriva-ml's own directory.
        execution_rid: RID of the Execution that we create for the unit; leased, and stored here,
            before its row exists.
        removal: If it is uploaded and its files are to be removed: `since_s`, the host's uptime
            when that was noticed; `what`, `why`, `next` if something keeps files; `done` when none
            is left.
        held: The `Hold` of a person, as a document.
        checked_ns: The latest `ctime_ns` of its files when they were last compared with the digests
            of the upload.
        verified_at: Once it was uploaded: when the server was last asked for all of it, UTC; the
            upload counts. None: it is to be asked soon.
        proved_at: When it was last proved to be on the server, UTC; None: it never was uploaded.
        proof: What was proved then: `by`, a `Proof`, and `unverified`, how many files could
            not be verified in whole.
        differs: How the server differed when it was last asked: `what`, `why`, `next`, `since`.
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
    checked_ns: int | None = field(default=None, metadata=_INTERNAL)
    verified_at: datetime | None = None
    proved_at: datetime | None = None
    proof: Mapping[str, Any] | None = None
    differs: Mapping[str, Any] | None = None

    @property
    def is_requested(self) -> bool:
        """Whether a person asked for the upload, with `retry` or `upload`."""
        return bool(self.verdict and self.verdict.get("requested"))

    @property
    def links_to(self) -> str | None:
        """RID of the Execution that its files get linked to, or None."""
        if self.unit:
            return self.execution_rid
        return self.rid if is_execution(self.rid) else None

    @property
    def label(self) -> str:
        """Its name in sentences."""
        return f"unit {self.rid}" if self.unit else label_of(self.rid)


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
    checked_ns: int | None
    verified_at: datetime | None
    proved_at: datetime | None
    proof: Mapping[str, Any] | None
    differs: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as the journal knows it.

    Attributes:
        id: Number in this journal.
        execution_id: Its execution's number.
        path: Below the execution directory, as `Entry.path`.
        state: Its state.
        changed_at: When it entered that state, UTC.
        size_bytes, mtime_ns, device, inode: Those of `Entry`, of what the digests describe.
        statement: Digest of the metadata from manifest, path and type files.
        md5, sha256: Hexadecimal.
        table: "schema:table" of its asset row.
        url: Of the object version that holds its bytes.
        rid: RID of its row.
        adopted: Its row existed before our upload.
        rows: Of a table file: how many of its rows are in the catalog.
        job: Its open upload job: url, chunk_bytes, md5, chunks already acknowledged; resumed: when
            this process began to send, and what was acknowledged before.
        names: Values for the templates of its mapping that do not come from the file (answers of
            queries, the time), kept so that a later attempt makes the same object and row.
        types: Its asset types, once it has a row: they are still to be linked if the file vanishes.
        removal: If we remove or removed it: `to`, where it was moved to, below its drop folder;
            None: it was deleted, or the removal has not ended; `read_back`: how much of its object
            was read back and compared before.
        held: The `Hold` of a person who cancelled it, as a document.
        what, why, next: The sentence for a person, if it was refused.
        ctime_ns: As `Entry.ctime_ns`, before its bytes were read; None: not known.
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
    ctime_ns: int | None = field(default=None, metadata=_INTERNAL)

    @property
    def stamp(self) -> Stamp:
        """As `Entry.stamp`."""
        return self.size_bytes, self.mtime_ns, self.inode


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
    ctime_ns: int | None


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """Rows of a table file that were one request; see `core.rows.ledger.Batch`.

    Attributes:
        file_id: The file's number.
        first: Number of the first row within the file, from 0.
        digests: Of the rows, concatenated.
        rids: The RIDs leased for the rows, None for rows that have a key.
        recorded: The result of the request is known.
    """

    file_id: int
    first: int
    digests: bytes
    rids: Sequence[str | None] | None
    recorded: bool


@dataclass(frozen=True, slots=True)
class ContentDigest:
    """The digests of a file that was read before its directory was complete.

    Attributes:
        execution_id: The number of its execution.
        size_bytes, mtime_ns, device, inode: The file as it was read, see `Entry`.
        md5, sha256: Hexadecimal.
        ctime_ns: As `Entry.ctime_ns`, before it was read.
    """

    execution_id: int
    size_bytes: int
    mtime_ns: int
    device: int
    inode: int
    md5: str
    sha256: str
    ctime_ns: int | None = None

    @property
    def stamp(self) -> Stamp:
        """As `Entry.stamp`."""
        return self.size_bytes, self.mtime_ns, self.inode


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """A line of history: how an execution or one of its files entered a state.

    Attributes:
        id: Number in this journal; the order of events.
        execution_id: The execution's number.
        file_id: The file's number; None: the execution itself moved.
        at: When, UTC.
        trigger: What moved it; None: it was seen for the first time.
        before: The state it left, or None.
        after: The state it entered.
        detail: The facts set with it, and the further fields of its event.
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
    """A damaged journal that this one replaces: what it knew may have been sent.

    Attributes:
        at: When this one was created, UTC.
        path: Where the damaged one is.
        why: The damage.
    """

    at: datetime
    path: str
    why: str


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The result of an upload that a person ordered.

    Attributes:
        record: The execution.
        files: Its files by state; None if the directory was refused before any was examined.
    """

    record: ExecutionRecord
    files: Counter[str] | None

    @property
    def nothing_matched(self) -> bool:
        """True if no file matches the bulk spec."""
        no_match = {FileState.UNMATCHED, FileState.IGNORED}
        return self.files is not None and self.files.keys() <= no_match
