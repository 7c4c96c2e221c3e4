"""One attempt at the files of a part, and which of them are in the catalog afterwards."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deriva_watch.commands.upload import OneShot
from deriva_watch.core.changes import MoveFile
from deriva_watch.core.errors import ServerAwayError, TransientError, TroubleError
from deriva_watch.core.model import TableName
from deriva_watch.core.plan.candidates import Leftover
from deriva_watch.core.plan.plan import AssetPlan, Plan
from deriva_watch.core.records import ExecutionRecord, FileRecord, UploadResult
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.states import ExecutionState, FileState, FileTrigger
from deriva_watch.engine.ports import Row
from deriva_watch.engine.server_check import ServerCheck
from deriva_watch.library.connection import sentence
from deriva_watch.library.parts import Part
from deriva_watch.library.progress import FileUploadState, UploadState
from deriva_watch.library.tracking import IN
from deriva_watch.pipeline.build import Parts

_CHANGED: Final = "it changed while it was uploaded"


@dataclass(frozen=True, slots=True)
class Failure:
    """A file, or a whole part, that is not in the catalog.

    Attributes:
        file: Absolute path.
        why: The reason.
        may_pass: Trying again may help.
    """

    file: str
    why: str
    may_pass: bool


@dataclass(slots=True)
class PartResult:
    """The result for the files of one part.

    Attributes:
        results: Of those in the catalog, by absolute path.
        failures: The others.
        unmatched, ignored: Files that were left out, by absolute path.
        stops: Nothing else can be uploaded either.
    """

    results: dict[str, FileUploadState] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    stops: bool = False


@dataclass(slots=True)
class PartUploader:
    """Uploads parts.

    Attributes:
        one_shot: Uploads them.
        server_check: Asks for the rows of files that are in the catalog.
        plans: Returns the latest plan of a part, or None.
    """

    one_shot: OneShot
    server_check: ServerCheck
    plans: Callable[[Part], Plan | None]
    _rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    _seen: set[Part] = field(default_factory=set)

    @classmethod
    def of(cls, parts: Parts, plans: Callable[[Part], Plan | None]) -> "PartUploader":
        """Build it for the catalog of *parts*."""
        return cls(OneShot.of(parts), parts.server_check, plans)

    def upload(self, part: Part) -> PartResult:
        """Upload what can be uploaded now."""
        outcome, error, result = PartResult(), None, None
        try:
            if part not in self._seen:
                self._forget_deleted(part)
                self._seen.add(part)
            result = self.one_shot.upload(part.unit)
            files = self._files(part)
            self._fetch(files.values())
        except TroubleError as trouble:
            error, files = trouble, self._files(part)
            passing = isinstance(trouble, TransientError)
            outcome.stops = isinstance(trouble, ServerAwayError) or not passing
        reason = _reason(result, error)
        self._collect(outcome, part, files, reason)
        if reason and not outcome.failures and not _is_only_empty(result, self.plans(part)):
            outcome.failures.append(Failure(str(part.root), *reason))
        return outcome

    def _collect(
        self,
        outcome: PartResult,
        part: Part,
        files: Mapping[str, FileRecord],
        reason: tuple[str, bool] | None,
    ) -> None:
        plan, root = self.plans(part), part.root
        for asset in plan.work if plan else ():
            record = files.get(asset.path)
            if record and record.state in IN and (record.rid or record.rows is not None):
                done = FileUploadState(UploadState.success, "Complete", self._result(record))
                outcome.results |= {str(root / p): done for p in _paths(asset) if part.has(p)}
            else:
                outcome.failures.append(_failure(root / asset.path, record, reason))
        for left in plan.leftovers if plan else ():
            _leave(outcome, left, root)

    def _result(self, record: FileRecord) -> dict[str, Any] | None:
        """Return the row of an asset; of a file of rows, where they went and how many they are."""
        if record.rid:
            return self._rows.get((str(record.table), record.rid))
        return {"table": record.table, "rows": record.rows}

    def _forget_deleted(self, part: Part) -> None:
        """Start over with files whose row somebody has deleted from the catalog."""
        files = [file for file in self._files(part).values() if file.state in IN and file.rid]
        self._fetch(files)
        lost = [f for f in files if (str(f.table), str(f.rid)) not in self._rows]
        if lost:
            self.one_shot.journal.commit(
                [MoveFile(f.id, FileTrigger.RECONSIDERED, {"rid": None, "url": None}) for f in lost]
            )

    def _fetch(self, files: Iterable[FileRecord]) -> None:
        """Fetch the rows of files that are in the catalog."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for file in files:
            if file.state in IN and file.rid and (str(file.table), file.rid) not in self._rows:
                wanted[str(file.table)].add(file.rid)
        for table, rids in wanted.items():
            rows = self.server_check.rows(TableName.parse(table), rids)
            self._rows |= {(table, rid): row for rid, row in rows.items()}

    def _files(self, part: Part) -> dict[str, FileRecord]:
        """Return the records of a part's files in the journal."""
        journal, server = self.one_shot.journal, self.one_shot.settings.server.name
        record = journal.find(server, str(part.unit.prefix), part.unit.name)
        return {f.path: f for f in journal.files(record.id)} if record else {}


def _paths(asset: AssetPlan | RowsPlan) -> Iterator[str]:
    if isinstance(asset, RowsPlan) and not asset.is_file:
        return  # records of the workspace
    yield asset.path
    yield from asset.also


def _reason(result: UploadResult | None, error: TroubleError | None) -> tuple[str, bool] | None:
    """Return why a part is not uploaded, and whether that may pass; None if it is."""
    if error:
        return sentence(error), isinstance(error, TransientError)
    record = result.record if result else None
    if record is None or record.state is ExecutionState.UPLOADED:
        return None
    return _why(record), record.state not in {ExecutionState.REFUSED, ExecutionState.GONE}


def _why(record: ExecutionRecord) -> str:
    if record.state is ExecutionState.GONE:
        return "it no longer exists"
    return f"{record.what}: {record.why}" if record.why else _CHANGED


def _failure(file: Path, record: FileRecord | None, reason: tuple[str, bool] | None) -> Failure:
    if record and record.state is FileState.REFUSED:
        return Failure(str(file), str(record.why), may_pass=False)
    if record and record.state is FileState.GONE:
        return Failure(str(file), "it no longer exists", may_pass=False)
    why, may_pass = reason or (_CHANGED, True)
    return Failure(str(file), why, may_pass)


def _leave(outcome: PartResult, left: Leftover, root: Path) -> None:
    file = str(root / left.path)
    if left.trigger is FileTrigger.REFUSED:
        outcome.failures.append(Failure(file, left.why, may_pass=False))
    elif left.trigger is FileTrigger.UNMATCHED:
        outcome.unmatched.append(file)
    else:
        outcome.ignored.append(file)


def _is_only_empty(result: UploadResult | None, plan: Plan | None) -> bool:
    """Return whether a part is refused only because no file of it matched a mapping."""
    return plan is not None and result is not None and result.nothing_matched
