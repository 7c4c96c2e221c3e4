"""The interfaces through which the engine uses the catalog, the store, the journal and the disk.

Every call can be repeated: a crash between a call and its journal entry repeats that call once.
All calls raise `TransientError`, `ServerAwayError`, `CredentialError` or `RefusedError` of
`core.errors`; any other error is a bug.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from deriva_watch.core.changes import Change
from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.objects import ObjectHead, ObjectVersion, UploadJob
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.records import BatchRecord, ExecutionRecord, FileRecord
from deriva_watch.core.rows.ledger import Batch
from deriva_watch.core.spec.mapping import Match, Processor

Row = dict[str, Any]


class Catalog(Protocol):
    """One ERMrest catalog. Only the catalog writer calls the methods that change it."""

    def model(self) -> CatalogModel:
        """Return the catalog's model, fetched again only if its snaptime has changed."""
        ...

    def version(self, model: CatalogModel) -> str:
        """Return a token that differs whenever *model* or our credential does."""
        ...

    def execution(self, rid: str) -> Row | None:
        """Return the row of deriva-ml:Execution, or None. The table's name is the model's."""
        ...

    def rid_table(self, rid: str) -> TableName | None:
        """Return the table of the row *rid*, or None."""
        ...

    def rows_with(self, table: TableName, column: str, values: Iterable[Any]) -> list[Row]:
        """Return the rows whose *column* has one of *values*; long lists are split."""
        ...

    def rows_where(
        self, table: TableName, values: Mapping[str, Any], limit: int | None = None
    ) -> list[Row]:
        """Return the rows whose columns have all of *values*, at most *limit*; None finds NULL."""
        ...

    def neighbours(self, table: TableName, column: str, text: str) -> list[str]:
        """Return some values of a text column right before and after *text*, in its order.

        The cost does not depend on the number of rows: the column has an index.
        """
        ...

    def query(self, path: str) -> list[Row]:
        """Return the answer to a GET of *path*, relative to the catalog."""
        ...

    def put(self, path: str, rows: Sequence[Row]) -> list[Row]:
        """PUT rows to *path*, relative to the catalog; return those that were updated."""
        ...

    def replace(
        self, table: TableName, old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> list[Row]:
        """Set the columns of the rows that have the values *old* to *new*; return those rows."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """Return our identity on the server: id, display_name, full_name, email."""
        ...

    def insert(
        self, table: TableName, rows: Sequence[Row], *, given_rids: bool = False
    ) -> list[Row]:
        """POST with onconflict=skip; return the rows that were inserted, in the order sent.

        Columns that no row has get their defaults. With *given_rids* every row has its RID and
        keeps it. All rows or none are inserted (one transaction); a bad row fails the batch.
        """
        ...

    def lease(self, names: Sequence[str]) -> dict[str, str]:
        """Return RIDs that are leased to us, by *names*.

        The same name gives the same RID until a row has that RID.
        """
        ...

    def terms(self, table: TableName) -> frozenset[str]:
        """Return the names of the terms of a vocabulary."""
        ...

    def move_status(self, execution: str, old: str | None, new: str) -> bool:
        """Set Execution.Status to *new* if it is *old*; return whether it was."""
        ...

    def claimable(self, rids: Iterable[str]) -> frozenset[str]:
        """Return those of *rids* that we may use for rows: leased by us, or all if we own it."""
        ...


class ObjectStore(Protocol):
    """One Hatrac. Names are "/hatrac/…", percent-encoded."""

    def head(self, name: str) -> ObjectVersion | None:
        """Return the current version, or None if the name has no content."""
        ...

    def read(self, url: str, first: int, size_bytes: int) -> bytes:
        """Return bytes of a version from *first* on; fewer if it ends, or breaks off, early."""
        ...

    def make_namespace(self, name: str) -> None:
        """Create the namespace with its parents, unless it exists."""
        ...

    def forget_namespace(self, name: str) -> None:
        """Ask for the namespace again before its next use: the server says it is gone."""
        ...

    def put(self, head: ObjectHead, body: BinaryIO, *, replaces: str | None = None) -> str | None:
        """Store a version and return its URL.

        *replaces* is the ETag of the previous version; without it the name must have no content.
        None means that the precondition failed (412); HEAD returns the current version.

        Raises FileChangedError if *body* ends early; so does `put_chunk`.
        """
        ...

    def open_job(self, head: ObjectHead, chunk_bytes: int) -> str:
        """Create an upload job, with content-md5, and return its URL."""
        ...

    def job(self, job: str) -> UploadJob | None:
        """Return an open job; None if it was finished or cancelled."""
        ...

    def jobs(self, name: str) -> list[str]:
        """Return the open jobs of an object; empty if we may not see them."""
        ...

    def put_chunk(self, job: str, number: int, body: BinaryIO, size_bytes: int) -> None:
        """Send chunk *number*; sending it again overwrites it."""
        ...

    def finish_job(self, job: str, size_bytes: int) -> str | None:
        """Finish a job of *size_bytes* and return the version's URL; None if there is none."""
        ...

    def cancel_job(self, job: str) -> None:
        """Cancel an unfinished job of ours; do nothing if it is gone."""
        ...


class Journal(Protocol):
    """The memory. Reads see every committed change."""

    def commit(self, changes: Sequence[Change]) -> list[int]:
        """Write all changes in one transaction and return when it is durable.

        Returns the id of the file or execution for each change. Events follow the commit.
        """
        ...

    def submit(self, changes: Sequence[Change]) -> Future[list[int]]:
        """Queue *changes* and return at once: `commit` without the wait.

        The future has the result or the error of `commit`; nothing is durable before it is done.
        Changes are applied in the order of the calls; a request that fails fails alone. They must
        not be modified afterwards, and a callback of the future must not block.
        """
        ...

    def execution(self, execution_id: int) -> ExecutionRecord:
        """Return an execution; KeyError if there is none."""
        ...

    def files(self, execution_id: int) -> list[FileRecord]:
        """Return the files of an execution by path."""
        ...

    def batches(self, file_id: int, first: int, limit: int) -> list[BatchRecord]:
        """Return at most *limit* batches of a file's rows, from row *first* on, in order."""
        ...

    def holders(
        self, urls: Iterable[str], *, unlike: str | None = None
    ) -> Mapping[str, frozenset[int]]:
        """Return which files of this journal have one of the object versions: URL → file ids.

        Files whose statement has the digest *unlike* are left out.
        """
        ...


class Disk(Protocol):
    """The execution directory being uploaded; `root` is its absolute path."""

    @property
    def root(self) -> Path:
        """Its absolute path."""
        ...

    def open(self, entry: Entry) -> BinaryIO:
        """Open the file of *entry*, if the link policy allows it.

        Raises FileChangedError if it is no longer the same file, FileNotFoundError if it is gone,
        RefusedError if it may not be read.
        """
        ...

    def verify(self, entry: Entry) -> None:
        """Check the file again; FileChangedError or FileNotFoundError if its stamp changed."""
        ...


class RowReceipt(Protocol):
    """The receipt of the rows of one unit that have no key."""

    def read(self, path: str, doubt: Callable[[str], None]) -> Iterator[Batch]:
        """Yield the batches of a file of rows; *doubt* is called with what cannot be read."""
        ...


class Processors(Protocol):
    """The processors that a bulk spec runs before or after the upload of a file."""

    def run(
        self, processor: Processor, path: Path, match: Match, names: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return *names* as changed by the processor; RefusedError if it fails."""
        ...

    def bag(self, processor: Processor, disk: Disk, asset: AssetPlan) -> Path:
        """Return a bag of a directory; the same files give the same bytes."""
        ...

    def discard(self, names: Mapping[str, Any]) -> None:
        """Remove what `bag` made for a file."""
        ...
