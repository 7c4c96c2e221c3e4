"""The upload of one unit while it runs: the plan and the state of each file.

Several stages work on it at the same time, each on files of its own.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

from deriva_watch.core.changes import MoveFile
from deriva_watch.core.completeness.observation import ROWS_NAME, Entry, Stamp
from deriva_watch.core.errors import InterruptedWorkError, RefusedError, TransientError
from deriva_watch.core.events import Emit, NoticeAdded
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.prose import shortened
from deriva_watch.core.records import (
    BatchRecord,
    ContentDigest,
    ExecutionRecord,
    FileFacts,
    FileRecord,
)
from deriva_watch.core.rows.adoption import adopt
from deriva_watch.core.rows.ledger import Batch
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.states import FileState, FileTrigger, file_after
from deriva_watch.core.unicode_forms import ANOTHER_FORM, composed
from deriva_watch.engine.content import Digests
from deriva_watch.engine.ports import Disk, Journal, Row, RowReceipt
from deriva_watch.liveness import waiting

_SHOWN: Final = 5
_ONE_TOO_MANY: Final = (
    "If they are the same asset, keep the oldest, and delete the others with their links."
)

_READ_AHEAD: Final = 8  # batches


class Move(NamedTuple):
    """The next step of a file, and how long it took."""

    path: str
    trigger: FileTrigger
    facts: FileFacts = FileFacts()
    seconds: float | None = None


@dataclass(slots=True)
class UnitUpload:
    """The upload of one unit.

    Attributes:
        execution: Its record.
        disk: Its directory.
        model: The catalog's model.
        journal, emit: Store and report moves.
        assets: The planned assets, by path.
        records: The record of each file, by path; `commit` keeps them up to date.
        rows: The planned files of rows, by path.
        surely_new: Returns True for a file whose rows nobody can have loaded before us.
        row_receipt: The rows recorded by an earlier journal, if there is such a receipt.
        ahead: Digests of files that were hashed while the directory was filling, by stamp.
        halt: Raises if a person has stopped the unit, or a file of it.
        changed: Paths that changed during the upload: the unit has to be scanned again.
        again: Paths that another uploader has recorded since we looked for their rows.
        lost: Paths whose row, which we made, names an object that is gone: they are sent again.
        transient: The last temporary error, if any.
        notices: Sentences for the receipt, by subject.
        ended: Set once one stage of the upload has failed, so that the others stop.
    """

    execution: ExecutionRecord
    disk: Disk
    model: CatalogModel
    journal: Journal
    emit: Emit
    assets: dict[str, AssetPlan]
    records: dict[str, FileRecord]
    rows: dict[str, RowsPlan] = field(default_factory=dict)
    surely_new: Callable[[Entry], bool] = lambda _entry: True
    row_receipt: RowReceipt | None = None
    ahead: Mapping[Stamp, ContentDigest] = field(default_factory=dict)
    halt: Callable[[str | None], None] = lambda _path: None
    changed: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    transient: TransientError | None = None
    notices: dict[str, str] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    _noticing: threading.Lock = field(default_factory=threading.Lock)
    _noted: deque[Future[list[int]]] = field(default_factory=deque)
    _holders: dict[str, str] = field(default_factory=dict)  # RID or URL of a row → its file

    def __post_init__(self) -> None:
        """Note the rows that the files already have."""
        for record in self.records.values():
            self._hold(record)

    def planned(self) -> list[AssetPlan | RowsPlan]:
        """Return all planned files."""
        return [*self.assets.values(), *self.rows.values()]

    def size_bytes(self, path: str) -> int:
        """Return the size of a planned file."""
        return (self.assets.get(path) or self.rows[path]).entry.size_bytes

    def is_about(self, path: str, row: Row) -> bool:
        """Return whether a row has the content and the name of a file, in any Unicode form."""
        record, name = self.records[path], composed(self.assets[path].file_name)
        about = row["MD5"], row["Length"], composed(row["Filename"] or "")
        return about == (record.md5, record.size_bytes, name)

    def chosen(self, path: str, rows: Iterable[Row]) -> Row | None:
        """Return the one of *rows* with the same values as the file; None if it needs a new row."""
        asset, candidates = self.assets[path], [row for row in rows if self.is_about(path, row)]
        exact = [row for row in candidates if row["Filename"] == asset.file_name]
        candidates = exact or candidates
        table, held = self.model.name_to_table(asset.table), self._held(path, candidates)
        found = adopt(table, asset.values, candidates, asset.given_rid, held.__contains__)
        if found is None:
            return None
        if len(found.rids) > 1:
            taken = f"the oldest, {found.row['RID']}, is taken"
            self.notice(path, f"{_several(found.rids)}; {taken}. {_ONE_TOO_MANY}")
        if found.row["Filename"] != asset.file_name:
            self.notice(path, f"row {found.row['RID']} has its name {ANOTHER_FORM}")
        return dict(found.row)

    def compare(self, path: str, rows: Iterable[Row]) -> None:
        """Add a notice if several of *rows* have the values of a file whose row we just made."""
        asset, candidates = self.assets[path], [row for row in rows if self.is_about(path, row)]
        table = self.model.name_to_table(asset.table)
        found = adopt(
            table, asset.values, candidates, held=self._held(path, candidates).__contains__
        )
        if found and len(found.rids) > 1:
            meanwhile = "another uploader made one at the same time"
            self.notice(path, f"{_several(found.rids)}: {meanwhile}. {_ONE_TOO_MANY}")

    def _held(self, path: str, rows: Iterable[Row]) -> frozenset[str]:
        """Return the RIDs of those of *rows* that belong to a file other than *path*.

        The URL is compared too: a row that was just inserted, or whose INSERT was not answered,
        exists before the journal knows its RID.
        """
        return frozenset(
            row["RID"]
            for row in rows
            if any(self._holders.get(row[name], path) != path for name in ("RID", "URL"))
        )

    def _hold(self, record: FileRecord) -> None:
        for name in (record.rid, record.url):
            if name:
                self._holders.setdefault(name, record.path)

    def known_digests(self, entry: Entry) -> Digests | None:
        """Return the digests of a file that was hashed before and has not changed since."""
        known = self.ahead.get(entry.stamp)
        if known is None or known.ctime_ns != entry.ctime_ns:
            return None
        return Digests(known.md5, known.sha256, known.size_bytes)

    def batches(self, path: str) -> Iterator[BatchRecord]:
        """Yield the batches of a file of rows in the journal, in order."""
        first = 0
        while part := self.journal.batches(self.records[path].id, first, _READ_AHEAD):
            yield from part
            first = part[-1].first + 1

    def hinted(self, path: str) -> Iterable[Batch]:
        """Return the batches of a file of rows from its receipt, written by an earlier journal."""
        receipt = self.row_receipt
        return receipt.read(path, partial(self.notice, ROWS_NAME)) if receipt else ()

    def in_state(self, paths: Iterable[str], *states: FileState) -> list[str]:
        """Return those of *paths* that are in one of *states* and did not change meanwhile."""
        return [p for p in paths if self.records[p].state in states and p not in self.changed]

    def check(self, path: str | None) -> None:
        """Raise if the work at *path*, or at the whole unit, has to stop."""
        if self.ended.is_set():
            raise InterruptedWorkError("another stage of the upload has failed")
        self.halt(path)

    def not_cancelled(self, paths: Iterable[str]) -> list[str]:
        """Return those of *paths* that are not cancelled; refuse the others.

        Raises InterruptedWorkError if the whole unit is stopped.
        """
        self.check(None)
        kept = []
        for path in paths:
            try:
                self.halt(path)
            except RefusedError as error:
                self.refuse(path, error)
            else:
                kept.append(path)
        return kept

    def recorded_meanwhile(self, paths: Iterable[str]) -> set[str]:
        """Return those of *paths* that another uploader has recorded, and forget it."""
        found = self.again.intersection(paths)
        self.again.difference_update(found)
        return found

    def note(self, moves: Sequence[Move]) -> None:
        """Apply moves to the records; the journal has them once a later `commit` returns.

        For what costs a repeated call and nothing else if the process is killed before. Raises
        the error of moves that were noted before and could not be written.
        """
        self._forget([each for each in list(self._noted) if each.done()])
        moves = [self._with_types(move) for move in moves]
        if moves:
            changes = [
                MoveFile(self.records[m.path].id, m.trigger, m.facts, m.seconds) for m in moves
            ]
            self._noted.append(self.journal.submit(changes))
        for move in moves:
            self.apply(move)

    def commit(self, moves: Sequence[Move] = ()) -> None:
        """As `note`, and return once the journal has these moves and all before."""
        self.note(moves)
        with waiting():
            self._forget(list(self._noted))

    def _forget(self, noted: Sequence[Future[list[int]]]) -> None:
        """Wait for moves and raise the error of those that could not be written."""
        for each in noted:
            each.result()
            with suppress(ValueError):  # another stage has waited for it too
                self._noted.remove(each)

    def _with_types(self, move: Move) -> Move:
        """Store the types of a new row, so that it is linked even if its file vanishes."""
        asset = self.assets.get(move.path)
        if asset is None or move.trigger not in (FileTrigger.RECORDED, FileTrigger.ADOPTED):
            return move
        return move._replace(facts={**move.facts, "types": asset.types})

    def apply(self, move: Move) -> None:
        """Apply a move that the journal has to the records."""
        record = self.records[move.path]
        state = file_after(record.state, move.trigger)
        self.records[move.path] = replace(record, state=state, **move.facts)
        self._hold(self.records[move.path])

    def refuse(self, path: str, error: RefusedError) -> None:
        """Refuse one file; the others continue."""
        facts: FileFacts = {**FileFacts(), **error.sentence(self.execution.rid)}
        self.commit([Move(path, FileTrigger.REFUSED, facts)])

    def change(self, path: str) -> None:
        """Start again with a file that changed during the upload."""
        self.changed.add(path)
        if self.records[path].state in (FileState.HASHED, FileState.STORED):
            self.commit([Move(path, FileTrigger.CHANGED)])

    def notice(self, about: str, why: str) -> None:
        """Report, once, something that does not stop the upload."""
        about, why = shortened(about), shortened(why)
        with self._noticing:
            known = self.notices.get(about, "")
            if why in known:
                return
            self.notices[about] = f"{known}; {why}" if known else why
        self.emit(NoticeAdded(execution=self.execution.rid, about=about, why=why))

    def tally(self) -> dict[str, int]:
        """Return the number of files in each state."""
        return dict(Counter(record.state.value for record in self.records.values()))


def _several(rids: Sequence[str]) -> str:
    more = ", …" if len(rids) > _SHOWN else ""
    return f"{len(rids)} rows say the same of it ({', '.join(rids[:_SHOWN])}{more})"
