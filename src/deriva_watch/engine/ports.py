"""What the engine needs of the outside, written by its user.

Every call may be repeated: a crash between a call and its journal entry repeats that call once.
All raise `TransientError`, `ServerAwayError`, `CredentialError` or `RefusedError` of
`core.errors`, and nothing else on purpose.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.objects import ObjectHead, ObjectVersion, UploadJob
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.records import BatchRecord, Change, ExecutionRecord, FileRecord
from deriva_watch.core.rows.ledger import Batch
from deriva_watch.core.spec.mapping import Match, Processor

Row = dict[str, Any]


class Catalog(Protocol):
    """One ERMrest catalog. Only the one catalog writer calls the methods that change it."""

    def model(self) -> CatalogModel:
        """Return the catalog's model, fetched again only when its snaptime moved."""
        ...

    def version(self) -> str:
        """Return what is another once the model, or who we are to the catalog, is another."""
        ...

    def execution(self, rid: str) -> Row | None:
        """Return the row of deriva-ml:Execution, or None. The table's name is the model's."""
        ...

    def rid_table(self, rid: str) -> TableName | None:
        """Return the table that *rid* is a row of, or None."""
        ...

    def rows_with(self, table: TableName, column: str, values: Iterable[Any]) -> list[Row]:
        """Return the rows whose *column* has one of *values*; long lists go in pages."""
        ...

    def rows_where(self, table: TableName, values: Mapping[str, Any]) -> list[Row]:
        """Return the rows whose columns have all of *values*; None finds NULL."""
        ...

    def query(self, path: str) -> list[Row]:
        """Return what a GET of *path*, below the catalog, answers with."""
        ...

    def put(self, path: str, rows: Sequence[Row]) -> list[Row]:
        """PUT rows to *path*, below the catalog; return those that were updated."""
        ...

    def replace(
        self, table: TableName, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> list[Row]:
        """Give the rows whose columns are *old* the values *new*; return what was updated."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """Return whom the server takes us for: id, display_name, full_name, email."""
        ...

    def insert(
        self, table: TableName, rows: Sequence[Row], *, given_rids: bool = False
    ) -> list[Row]:
        """POST with onconflict=skip; return the rows that were inserted, in the order sent.

        Columns that no row gives take their defaults. With *given_rids* every row carries its RID
        and keeps it. All rows or none (one transaction); a bad row refuses the whole batch.
        """
        ...

    def lease(self, names: Sequence[str]) -> dict[str, str]:
        """Return RIDs that are leased to us, by *names*.

        The same name gives the same RID again, until a row has it.
        """
        ...

    def terms(self, table: TableName) -> frozenset[str]:
        """Return the names of the terms of a vocabulary."""
        ...

    def move_status(self, execution: str, old: str | None, new: str) -> bool:
        """Compare and set Execution.Status; False: somebody moved it, nothing was changed."""
        ...

    def claimable(self, rids: Iterable[str]) -> frozenset[str]:
        """Return those of *rids* that we may give to rows: leased by us, or any if we own."""
        ...


class ObjectStore(Protocol):
    """One Hatrac. Names are "/hatrac/…", percent-encoded."""

    def head(self, name: str) -> ObjectVersion | None:
        """Return the current version, or None where the name has no content."""
        ...

    def make_namespace(self, name: str) -> None:
        """Create the namespace with its parents, unless it exists."""
        ...

    def forget_namespace(self, name: str) -> None:
        """Ask for the namespace again before its next use: the server says it is gone."""
        ...

    def put(self, head: ObjectHead, body: BinaryIO, *, replaces: str | None = None) -> str | None:
        """Store a version and return its URL.

        *replaces* is the ETag of the version it comes after; without it the name must have no
        content. None: the precondition failed (412); HEAD tells what is there now.

        Raises FileChangedError when *body* ends early; so does `put_chunk`.
        """
        ...

    def open_job(self, head: ObjectHead, chunk_bytes: int) -> str:
        """Create an upload job, with content-md5, and return its URL."""
        ...

    def job(self, job: str) -> UploadJob | None:
        """Return what an open job is; None: it is finished or cancelled."""
        ...

    def jobs(self, name: str) -> list[str]:
        """Return the open jobs of an object; none where they may not be seen."""
        ...

    def put_chunk(self, job: str, number: int, body: BinaryIO, size_bytes: int) -> None:
        """Send chunk *number*; sending it again overwrites it."""
        ...

    def finish_job(self, job: str) -> str | None:
        """Finalize and return the version's URL; None: no such job (HEAD tells why)."""
        ...

    def cancel_job(self, job: str) -> None:
        """Cancel an unfinished job of ours; a job that is gone is fine."""
        ...


class Journal(Protocol):
    """The memory. Reads see every committed change."""

    def commit(self, changes: Sequence[Change]) -> list[int]:
        """Write all changes in one transaction and return when it is durable.

        Returns one number a change: the id of the file or execution. Events follow the commit.
        """
        ...

    def execution(self, execution_id: int) -> ExecutionRecord:
        """Return an execution; KeyError where there is none."""
        ...

    def files(self, execution_id: int) -> list[FileRecord]:
        """Return the files of an execution by path."""
        ...

    def batches(self, file_id: int, first: int, limit: int) -> list[BatchRecord]:
        """Return at most *limit* batches of a file's rows, from place *first* on, in order."""
        ...

    def holders(
        self, urls: Iterable[str], *, unlike: str | None = None
    ) -> Mapping[str, frozenset[int]]:
        """Return which files of this journal hold one of the object versions: URL → file ids.

        Those of which the same is said as *unlike* tells (a statement's digest) are left out.
        """
        ...


class Disk(Protocol):
    """The execution directory being uploaded; `root` is its absolute path."""

    @property
    def root(self) -> Path:
        """Where it is."""
        ...

    def open(self, entry: Entry) -> BinaryIO:
        """Open the file that *entry* saw, once, by the link policy.

        Raises FileChangedError when it is not the same file any more, FileNotFoundError when it
        is gone, RefusedError when it may not be read.
        """
        ...

    def verify(self, entry: Entry) -> None:
        """Look again; FileChangedError or FileNotFoundError when the stamp moved."""
        ...


class RowReceipt(Protocol):
    """What receipts say of the rows of one unit that have no key."""

    def read(self, path: str, doubt: Callable[[str], None]) -> Iterator[Batch]:
        """Yield the batches of a file of rows; *doubt* is called with what cannot be read."""
        ...


class Processors(Protocol):
    """What a bulk spec has done with a file before or after it is brought in."""

    def run(
        self, processor: Processor, path: Path, match: Match, names: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return *names* as the processor leaves them; RefusedError where it fails."""
        ...

    def bag(self, processor: Processor, disk: Disk, asset: AssetPlan) -> Path:
        """Return a bag made of a directory; the same files make the same bytes."""
        ...

    def discard(self, names: Mapping[str, Any]) -> None:
        """Remove what `bag` made for a file."""
        ...
