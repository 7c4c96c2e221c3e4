"""The Execution that a unit of a drop folder has already, as a receipt or the journal says.

The journal may be lost, or a directory renamed. The receipt in the state directory counts for the
unit of that name. A receipt beside the files may be a copy in a copied directory: it counts if all
files are the same, and if the catalog has linked them to that Execution, so that nothing would be
added to it. Where no copy can be written, the journal knows a renamed directory by its inodes.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.states import SAFE, FileState, FileTrigger
from deriva_watch.edges.disk import receipts
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.rows.executions import Executions
from deriva_watch.engine.unit_upload import Move, UnitUpload
from deriva_watch.engine.uploader import Uploader
from deriva_watch.pipeline.receipt_schema import Receipt, read
from deriva_watch.pipeline.unit_reader import UnitReader

_ABOUT: Final = "receipt"
Content = tuple[int | None, str | None]  # size and MD5


@dataclass(frozen=True, slots=True)
class _Before:
    """A unit that is uploaded: its Execution, its files and their rows, by path."""

    unit: str
    execution: str
    contents: Mapping[str, Content]
    rids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PriorExecutions:
    """Finds the Executions of units whose journal has none.

    Attributes:
        server: The "host/catalog" that receipts are kept under.
    """

    unit_reader: UnitReader
    journal: Journal
    uploader: Uploader
    executions: Executions
    server: str

    def of(self, upload: UnitUpload, seen: Observation) -> str | None:
        """Return the RID of the Execution that the unit has already; None if it needs a new one.

        Raises FileChangedError if a batch has lost files that are others than its receipt has.
        """
        record = upload.execution
        if record.execution_rid:
            return None
        kept = self._usable(upload, self._kept(record))
        if kept and kept.unit == record.rid:
            if record.unit == "batch":
                self._part_with_others(upload, kept)
            return kept.linked_to
        return self._of_directory(upload, seen) if record.unit == "directory" else None

    def _kept(self, record: ExecutionRecord) -> Any:
        folder = self.unit_reader.settings.state_directory
        return receipts.read_receipt(folder, self.server, receipts.kept_as(record))

    def _usable(self, upload: UnitUpload, found: Any) -> Receipt | None:
        """Return a receipt of this server that names an Execution."""
        try:
            receipt = read(found, f"of {upload.execution.label}") if found else None
        except RefusedError as error:
            upload.notice(_ABOUT, f"the one from before is ignored: {error.why}")
            return None
        is_ours = receipt and receipt.server == self.server and receipt.linked_to
        return receipt if is_ours else None

    def _part_with_others(self, upload: UnitUpload, kept: Receipt) -> None:
        """Let the files go that are not those of the receipt: they become another batch."""
        here, there = self._contents(upload), _contents(kept)
        others = [path for path, was in here.items() if was[1] and was != there.get(path)]
        if others:
            why = "the receipt of this batch has another file of that name: it leaves the batch"
            for path in others:
                upload.notice(path, why)
            upload.commit([Move(path, FileTrigger.VANISHED) for path in others])
            raise FileChangedError(upload.execution.rid)

    def _of_directory(self, upload: UnitUpload, seen: Observation) -> str | None:
        copy = self._beside(upload, seen)
        before = copy or self._renamed(upload)
        if before is None:
            return None
        is_same = self._contents(upload) == before.contents
        if is_same and self.executions.has(upload, before.execution, before.rids):
            why = f"it has the same files as {before.unit}, and keeps its Execution"
            upload.notice(_ABOUT, f"{why} {before.execution}")
            return before.execution
        if copy:  # an inode alone may have been given to another file
            why = "files or metadata differ, so this unit gets an Execution of its own"
            upload.notice(_ABOUT, f"the one beside the files is of {copy.unit}: {why}")
        return None

    def _beside(self, upload: UnitUpload, seen: Observation) -> _Before | None:
        """Return the copy of a receipt beside the files, if there is one that counts."""
        directory = self.unit_reader.directory(self.unit_reader.settings.unit_of(upload.execution))
        found: Any = {}
        with suppress(OSError), directory.opened(seen) as folder:
            found = receipts.read_copy(folder, directory.trusted, partial(upload.notice, _ABOUT))
        receipt = self._usable(upload, found)
        if receipt is None or receipt.linked_to is None:
            return None
        rids = {line.path: line.rid for line in receipt.files if line.rid}
        return _Before(str(receipt.unit), receipt.linked_to, _contents(receipt), rids)

    def _renamed(self, upload: UnitUpload) -> _Before | None:
        """Return the record of a directory that is gone and had one of the files."""
        record, settings = upload.execution, self.unit_reader.settings
        inode = next(iter(upload.assets.values())).entry.inode if upload.assets else 0
        for each in self.journal.with_inode(self.server, record.prefix, inode):
            if each.execution_rid and not settings.unit_of(each).root.exists():
                files = [
                    f for f in self.journal.files(each.id) if f.state in SAFE - {FileState.REMOVED}
                ]
                contents = {file.path: (file.size_bytes, file.md5) for file in files}
                rids = {file.path: file.rid for file in files if file.rid}
                return _Before(each.rid, each.execution_rid, contents, rids)
        return None

    def _contents(self, upload: UnitUpload) -> dict[str, Content]:
        """Return the present contents of the files, by path; they are read as needed."""
        self.uploader.hash(upload)
        if upload.transient:
            raise upload.transient
        if upload.changed:
            raise FileChangedError(upload.execution.rid)
        records = (upload.records[path] for path in upload.assets)
        return {each.path: (each.size_bytes, each.md5) for each in records}


def _contents(receipt: Receipt) -> dict[str, Content]:
    """Return the contents of the files that a receipt does not call removed, by path."""
    lines = (line for line in receipt.files if line.state != "removed")
    return {line.path: (line.size_bytes, line.md5) for line in lines}
