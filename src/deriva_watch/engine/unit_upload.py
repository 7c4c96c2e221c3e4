"""One execution's upload while it runs: what the plan wants and where each file stands."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

from deriva_watch.core.completeness.observation import ROWS_NAME, Entry
from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.events import Emit, NoticeAdded
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.records import (
    BatchRecord,
    ContentDigest,
    ExecutionRecord,
    FileFacts,
    FileRecord,
    MoveFile,
)
from deriva_watch.core.rows.adoption import adopt
from deriva_watch.core.rows.ledger import Batch
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.states import FileState, FileTrigger, file_after
from deriva_watch.engine.content import Digests
from deriva_watch.engine.ports import Disk, Journal, Row, RowReceipt

_SHOWN: Final = 5
_ONE_TOO_MANY: Final = (
    "Where they are one asset, keep the oldest, and delete the others with their links."
)

Stamp = tuple[int, int, int, int]
_READ_AHEAD: Final = 8  # batches


class Move(NamedTuple):
    """One file's next step, with how long it took."""

    path: str
    trigger: FileTrigger
    facts: FileFacts = FileFacts()
    seconds: float | None = None


@dataclass(slots=True)
class Upload:
    """The work on one execution.

    Attributes:
        execution: Its record.
        disk: Its directory.
        model: The catalog's model.
        journal, emit: Where moves are written and reported.
        assets: What the plan wants, by path.
        records: Where each file stands, by path; kept up to date by `commit`.
        rows: The files of rows that the plan wants, by path.
        vouched: Returns True for a file whose rows nobody can have loaded before us.
        row_receipt: Has the rows that an earlier journal had recorded; None: nobody has.
        ahead: Digests of contents that were read while the directory was filling, by stamp.
        halt: Raises where the whole, or a file, is to be put down, because a person says so.
        changed: Paths that moved under us: the execution must be looked at again.
        again: Paths that another uploader has recorded since we looked for their rows.
        transient: The last error that may pass, if any.
        notices: Sentences for the receipt, by what they are about.
    """

    execution: ExecutionRecord
    disk: Disk
    model: CatalogModel
    journal: Journal
    emit: Emit
    assets: dict[str, AssetPlan]
    records: dict[str, FileRecord]
    rows: dict[str, RowsPlan] = field(default_factory=dict)
    vouched: Callable[[Entry], bool] = lambda _entry: True
    row_receipt: RowReceipt | None = None
    ahead: Mapping[Stamp, ContentDigest] = field(default_factory=dict)
    halt: Callable[[str | None], None] = lambda _path: None
    changed: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    transient: TransientError | None = None
    notices: dict[str, str] = field(default_factory=dict)
    _holders: dict[str, str] = field(default_factory=dict)  # RID or URL of a row → its file

    def __post_init__(self) -> None:
        """Know which rows the files stand for already."""
        for record in self.records.values():
            self._hold(record)

    def planned(self) -> list[AssetPlan | RowsPlan]:
        """Return all that the plan wants."""
        return [*self.assets.values(), *self.rows.values()]

    def is_about(self, path: str, row: Row) -> bool:
        """Tell whether a row is about the content and the name of a file."""
        record, about = self.records[path], (row["MD5"], row["Length"], row["Filename"])
        return about == (record.md5, record.size_bytes, self.assets[path].file_name)

    def chosen(self, path: str, rows: Iterable[Row]) -> Row | None:
        """Return the one of *rows* that says what a file says, or None: it needs its own."""
        asset, candidates = self.assets[path], [row for row in rows if self.is_about(path, row)]
        table, held = self.model.name_to_table(asset.table), self._held(path, candidates)
        found = adopt(table, asset.values, candidates, asset.given_rid, held.__contains__)
        if found is None:
            return None
        if len(found.rids) > 1:
            taken = f"the oldest, {found.row['RID']}, is taken"
            self.notice(path, f"{_several(found.rids)}; {taken}. {_ONE_TOO_MANY}")
        return dict(found.row)

    def compare(self, path: str, rows: Iterable[Row]) -> None:
        """Say so where several of *rows* are about a file whose row we made just now."""
        asset, candidates = self.assets[path], [row for row in rows if self.is_about(path, row)]
        table = self.model.name_to_table(asset.table)
        found = adopt(
            table, asset.values, candidates, held=self._held(path, candidates).__contains__
        )
        if found and len(found.rids) > 1:
            meanwhile = "another uploader made one at the same time"
            self.notice(path, f"{_several(found.rids)}: {meanwhile}. {_ONE_TOO_MANY}")

    def _held(self, path: str, rows: Iterable[Row]) -> frozenset[str]:
        """Return the RIDs of those of *rows* that another file than *path* stands for.

        Its URL tells as well: a row that was inserted a moment ago, or whose INSERT was never
        answered, is there before the journal knows its RID.
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
        """Return the digests of a file that was read already and is what it was then."""
        known = self.ahead.get(entry.stamp)
        return Digests(known.md5, known.sha256, known.size_bytes) if known else None

    def batches(self, path: str) -> Iterator[BatchRecord]:
        """Yield what the journal has of a file of rows, in order."""
        first = 0
        while part := self.journal.batches(self.records[path].id, first, _READ_AHEAD):
            yield from part
            first = part[-1].first + 1

    def hinted(self, path: str) -> Iterable[Batch]:
        """Return what an earlier journal had of a file of rows, as its receipt says."""
        receipt = self.row_receipt
        return receipt.read(path, partial(self.notice, ROWS_NAME)) if receipt else ()

    def standing(self, paths: Iterable[str], *states: FileState) -> list[str]:
        """Return those of *paths* that stand in one of *states* and did not move under us."""
        return [p for p in paths if self.records[p].state in states and p not in self.changed]

    def going(self, paths: Iterable[str]) -> list[str]:
        """Return those of *paths* that nobody has cancelled meanwhile; the others are refused.

        Raises InterruptedWorkError where all of it is to be put down.
        """
        self.halt(None)
        going = []
        for path in paths:
            try:
                self.halt(path)
            except RefusedError as error:
                self.refuse(path, error)
            else:
                going.append(path)
        return going

    def commit(self, moves: Sequence[Move]) -> None:
        """Write moves down in one transaction, then know them."""
        moves = [self._with_types(move) for move in moves]
        if moves:
            self.journal.commit(
                [MoveFile(self.records[m.path].id, m.trigger, m.facts, m.seconds) for m in moves]
            )
        for move in moves:
            self.know(move)

    def _with_types(self, move: Move) -> Move:
        """Add what is left to link once there is a row, for a file that vanishes before."""
        asset = self.assets.get(move.path)
        if asset is None or move.trigger not in (FileTrigger.RECORDED, FileTrigger.ADOPTED):
            return move
        return move._replace(facts={**move.facts, "types": asset.types})

    def know(self, move: Move) -> None:
        """Follow a move that the journal has."""
        record = self.records[move.path]
        state = file_after(record.state, move.trigger)
        self.records[move.path] = replace(record, state=state, **move.facts)
        self._hold(self.records[move.path])

    def refuse(self, path: str, error: RefusedError) -> None:
        """End one file with a sentence; its neighbours go on."""
        facts: FileFacts = {**FileFacts(), **error.sentence(self.execution.rid)}
        self.commit([Move(path, FileTrigger.REFUSED, facts)])

    def change(self, path: str) -> None:
        """Put a file that moved under us back to its beginning."""
        self.changed.add(path)
        if self.records[path].state in (FileState.HASHED, FileState.STORED):
            self.commit([Move(path, FileTrigger.CHANGED)])

    def notice(self, about: str, why: str) -> None:
        """Tell a person something that stops nothing, once."""
        known = self.notices.get(about, "")
        if why in known:
            return
        self.notices[about] = f"{known}; {why}" if known else why
        self.emit(NoticeAdded(execution=self.execution.rid, about=about, why=why))

    def tally(self) -> dict[str, int]:
        """Return how many files stand in each state."""
        return dict(Counter(record.state.value for record in self.records.values()))


def _several(rids: Sequence[str]) -> str:
    more = ", …" if len(rids) > _SHOWN else ""
    return f"{len(rids)} rows say the same of it ({', '.join(rids[:_SHOWN])}{more})"
