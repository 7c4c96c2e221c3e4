"""The queries for the status: the number of finished files does not make them slower."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import distinct, func, literal, or_, select

from deriva_watch.core.records import ExecutionRecord, FileRecord, HistoryRecord
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.core.stats.day import Sample
from deriva_watch.core.stats.throughput import Sent
from deriva_watch.edges.journal.queries import Queries, in_parts, select_records
from deriva_watch.edges.journal.schema import execution, file, file_count, history, sample

_COUNTS: Final = file_count.c
_LARGE_BYTES: Final = 16 * 1024 * 1024  # the time of smaller files does not affect the rate
_FILE: Final = select_records(file, FileRecord)
_SAMPLE: Final = sample.c.at, sample.c.sent_bytes, sample.c.backlog_files, sample.c.backlog_bytes
_OWN: Final = history.c.file_id.is_(None)
_CAME_IN: Final = (FileState.LINKED, FileState.ELSEWHERE)


class Amount(NamedTuple):
    """A number of files, and their bytes."""

    files: int = 0
    bytes: int = 0


class Total(NamedTuple):
    """The files in one state of all executions in one state.

    Attributes:
        execution: The state of the executions.
        file: The state of the files.
        executions: How many executions have such files.
        files: How many files there are.
        bytes: Their bytes.
    """

    execution: ExecutionState
    file: FileState
    executions: int
    files: int
    bytes: int


class Ended(NamedTuple):
    """The line of history in which an execution ended, and the execution."""

    execution: ExecutionRecord
    line: HistoryRecord


class Sharer(NamedTuple):
    """A unit that was uploaded, and whose Execution other units may have too.

    Attributes:
        number: Of the unit.
        shared: The server, and the Execution's RID there.
        is_gone: Whether its folder is gone.
    """

    number: int
    shared: tuple[str, str]
    is_gone: bool


class StatusQueries(Queries):
    """Queries for the status; they are asked every second."""

    def names(self) -> list[str]:
        """Return the names by which executions are known: of directories and units, and RIDs."""
        names = execution.c.rid, execution.c.execution_rid
        return sorted({name for row in self._rows(select(*names)) for name in row if name})

    def file_counts(self) -> dict[FileState, int]:
        """Return how many files there are in each state that has any."""
        query = select(_COUNTS.state, func.sum(_COUNTS.files)).group_by(_COUNTS.state)
        return {state: files for state, files in self._rows(query) if files}

    def totals(self) -> list[Total]:
        """Return the sums over all executions."""
        states = execution.c.state, _COUNTS.state
        query = (
            select(
                *states,
                func.count(),
                func.sum(_COUNTS.files),
                func.sum(_COUNTS.bytes),
            )
            .join(execution, execution.c.id == _COUNTS.execution_id)
            .where(_COUNTS.files > 0)
            .group_by(*states)
        )
        return [Total(*row) for row in self._rows(query)]

    def count_executions_with(self, states: Iterable[FileState]) -> int:
        """Return how many executions have a file in one of *states*."""
        has = _COUNTS.state.in_(list(states)), _COUNTS.files > 0
        query = select(func.count(distinct(_COUNTS.execution_id))).where(*has)
        count: int = self._rows(query)[0][0]
        return count

    def sharers(self) -> list[Sharer]:
        """Return the units that were uploaded to an Execution that several of them have.

        Ordered by number. Executions with the same RID on different servers are not the same. A
        directory of a drop folder that was renamed after its upload is two units.
        """
        known, rid = execution.c, execution.c.execution_rid
        several = select(rid).where(rid.is_not(None)).group_by(rid).having(func.count() > 1)
        query = (
            select(known.id, known.server, rid, known.state)
            .where(rid.in_(several), known.proved_at.is_not(None))
            .order_by(known.id)
        )
        return [
            Sharer(number, (server, shared), state is ExecutionState.GONE)
            for number, server, shared, state in self._rows(query)
        ]

    def amounts(self, executions: Iterable[int]) -> Mapping[int, Mapping[FileState, Amount]]:
        """Return the files of each of some executions, by state."""
        counts = (
            _COUNTS.execution_id,
            _COUNTS.state,
            _COUNTS.files,
            _COUNTS.bytes,
        )
        found: defaultdict[int, dict[FileState, Amount]] = defaultdict(dict)
        for part in in_parts(list(executions)):
            query = select(*counts).where(_COUNTS.execution_id.in_(part))
            for number, state, files, size_bytes in self._rows(query):
                found[number][state] = Amount(files, size_bytes)
        return found

    def executions_having(self, state: FileState, limit: int) -> list[ExecutionRecord]:
        """Return at most *limit* executions that have files in *state* and are not gone."""
        query = (
            select_records(execution, ExecutionRecord)
            .join(file_count, _COUNTS.execution_id == execution.c.id)
            .where(_COUNTS.state == state, _COUNTS.files > 0)
            .where(execution.c.state != ExecutionState.GONE)
            .order_by(execution.c.id)
        )
        return [ExecutionRecord(*row) for row in self._rows(query.limit(limit))]

    def count_executions_having(self, state: FileState) -> int:
        """Return the number of executions that `executions_having` returns without a limit."""
        query = (
            select(func.count())
            .join_from(file_count, execution, _COUNTS.execution_id == execution.c.id)
            .where(_COUNTS.state == state, _COUNTS.files > 0)
            .where(execution.c.state != ExecutionState.GONE)
        )
        count: int = self._rows(query)[0][0]
        return count

    def count_attention(self, cancelled: Collection[int]) -> int:
        """Return how many executions a person must see to: each counts once.

        They are refused, or have unmatched files and are not gone, and are none of *cancelled*; or
        they differ on the server.
        """
        refused = select(execution.c.id).where(execution.c.state == ExecutionState.REFUSED)
        unmatched = (
            select(execution.c.id)
            .join(file_count, _COUNTS.execution_id == execution.c.id)
            .where(_COUNTS.state == FileState.UNMATCHED, _COUNTS.files > 0)
            .where(execution.c.state != ExecutionState.GONE)
        )
        differing = select(execution.c.id).where(execution.c.differs.is_not(None))
        found: set[int] = set()
        for query in refused, unmatched:
            found.update(number for (number,) in self._rows(query) if number not in cancelled)
        found.update(number for (number,) in self._rows(differing))
        return len(found)

    def examples(self, execution_id: int, state: FileState, limit: int) -> list[FileRecord]:
        """Return at most *limit* files of an execution that are in *state*."""
        query = _FILE.where(file.c.state == state, file.c.execution_id == execution_id)
        return [FileRecord(*row) for row in self._rows(query.order_by(file.c.id).limit(limit))]

    def named(self, name: str, limit: int) -> list[FileRecord]:
        """Return at most *limit* files with *name* in their paths, the latest executions first.

        It reads the index of all paths: do not call it every second.
        """
        has = func.instr(file.c.path, literal(name, file.c.path.type)) > 0
        query = _FILE.where(has).order_by(file.c.execution_id.desc(), file.c.path.desc())
        return [FileRecord(*row) for row in self._rows(query.limit(limit))]

    def executions_named(self, name: str, limit: int) -> list[ExecutionRecord]:
        """Return at most *limit* executions with *name* in their names, the latest first."""
        query = select_records(execution, ExecutionRecord).where(
            execution.c.rid.contains(name, autoescape=True)
        )
        query = query.order_by(execution.c.id.desc()).limit(limit)
        return [ExecutionRecord(*row) for row in self._rows(query)]

    def open_jobs(self) -> list[FileRecord]:
        """Return the files that are being sent in chunks: their executions are uploading."""
        query = (
            _FILE.join(execution, execution.c.id == file.c.execution_id)
            .where(file.c.job.is_not(None), file.c.state == FileState.HASHED)
            .where(execution.c.state == ExecutionState.UPLOADING)
        )
        return [FileRecord(*row) for row in self._rows(query.order_by(file.c.id))]

    def sent_since(self, at: datetime) -> dict[int, list[Sent]]:
        """Return the files stored since a time, by execution; all small files are one entry."""
        lately = (
            (history.c.after == literal(FileState.STORED.value, literal_execute=True))
            & (history.c.at >= at)
            & (file.c.id == history.c.file_id)
        )
        number, size_bytes = history.c.execution_id, file.c.size_bytes
        small = select(number, func.sum(size_bytes), func.max(history.c.at), literal(0.0)).where(
            lately, size_bytes <= _LARGE_BYTES
        )
        took_s = history.c.detail["seconds"].as_float()
        large = select(number, size_bytes, history.c.at, took_s).where(
            lately, size_bytes > _LARGE_BYTES
        )
        found: defaultdict[int, list[Sent]] = defaultdict(list)
        # With a bare column SQLite would read all of history, in the order of its index.
        for query in (small.group_by(number + 0), large):
            for owner, sent_bytes, until, seconds in self._rows(query):
                found[owner].append(Sent(sent_bytes, until, seconds or 0.0))
        return found

    def samples(self, since: datetime) -> list[Sample]:
        """Return the samples for the chart since a time, by time."""
        query = select(*_SAMPLE).where(sample.c.at >= since).order_by(sample.c.at)
        return [Sample(*row) for row in self._rows(query)]

    def uploaded_between(
        self, execution_id: int, after: int, until: int, earlier: Collection[int] = ()
    ) -> Amount:
        """Return the files of an execution that were uploaded between two lines of history.

        Files whose rows belong to files of *earlier* executions do not count.
        """
        lately = (
            select(history.c.file_id)
            .where(history.c.execution_id == execution_id, history.c.file_id.is_not(None))
            .where(history.c.id > after, history.c.id < until)
            .where(history.c.after.in_([state.value for state in _CAME_IN]))
        )
        query = select(func.count(), func.coalesce(func.sum(file.c.size_bytes), 0))
        if earlier:
            before = file.alias()
            theirs = select(before.c.rid).where(before.c.execution_id.in_(earlier))
            rids = theirs.where(before.c.rid.is_not(None))
            query = query.where(or_(file.c.rid.is_(None), file.c.rid.not_in(rids)))
        [row] = self._rows(query.where(file.c.id.in_(lately)))
        return Amount(*row)

    def endings(
        self,
        states: Iterable[ExecutionState],
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[Ended]:
        """Return the lines of history by which executions entered *states*, the newest first."""
        query = (
            _ENDINGS.where(_OWN, history.c.after.in_([state.value for state in states]))
            .order_by(history.c.at.desc(), history.c.id.desc())
            .limit(limit)
        )
        if since is not None:
            query = query.where(history.c.at >= since)
        rows: Any = self._rows(query)
        return [Ended(ExecutionRecord(*row[:_WIDTH]), HistoryRecord(*row[_WIDTH:])) for row in rows]


_WIDTH: Final = len(select_records(execution, ExecutionRecord).selected_columns)
_ENDINGS: Final = (
    select(
        *select_records(execution, ExecutionRecord).selected_columns,
        *select_records(history, HistoryRecord).selected_columns,
    )
    .select_from(history)
    .join(execution, execution.c.id == history.c.execution_id)
)
