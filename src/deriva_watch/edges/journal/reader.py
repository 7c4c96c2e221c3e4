"""The queries of daemon and commands; the answers are values of `core.records`."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import func, or_, select, true

from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.records import (
    BatchRecord,
    ContentDigest,
    DamagedJournal,
    ExecutionRecord,
    FileRecord,
    HistoryRecord,
)
from deriva_watch.core.states import UNDONE, ExecutionState, ExecutionTrigger, FileState
from deriva_watch.edges.journal.database import lock
from deriva_watch.edges.journal.problems import explained
from deriva_watch.edges.journal.queries import for_server, in_parts, same_unit, select_records
from deriva_watch.edges.journal.removal_queries import RemovalQueries
from deriva_watch.edges.journal.schema import (
    batch,
    damaged_journal,
    digest,
    execution,
    file,
    history,
    pause,
)
from deriva_watch.edges.journal.status_queries import StatusQueries
from deriva_watch.edges.journal.verification_queries import VerificationQueries

_EXECUTION: Final = select_records(execution, ExecutionRecord)
_FILE: Final = select_records(file, FileRecord)
_BATCH: Final = select_records(batch, BatchRecord)
_DIGEST: Final = select_records(digest, ContentDigest)
_HISTORY: Final = select_records(history, HistoryRecord)
_DAMAGED: Final = select_records(damaged_journal, DamagedJournal)

_FEW: Final = 5
_PAST: Final = (FileState.GONE, FileState.REMOVED)  # another file may get the name
_MEMBERS: Final = (
    select(execution.c.rid, file.c.path)
    .join(execution, execution.c.id == file.c.execution_id)
    .where(execution.c.unit.is_not(None), file.c.state.not_in(_PAST))
)

# A refused file may be tried again, and then continues its job.
_NOT_SENT: Final = tuple(set(FileState) - UNDONE - {FileState.REFUSED})
_IS_OVER: Final = or_(  # nobody continues it
    execution.c.state == ExecutionState.GONE,
    execution.c.held["kind"].as_string() == HoldKind.CANCELLED,
)
_PENDING: Final = (ExecutionState.READY, ExecutionState.UPLOADING, ExecutionState.WAITING)
_COMPLETED: Final = (
    select(func.max(history.c.at).label("at"), execution.c.prefix, execution.c.rid)
    .join(execution, execution.c.id == history.c.execution_id)
    .where(execution.c.state.in_(_PENDING))
    .where(history.c.file_id.is_(None), history.c.trigger == ExecutionTrigger.COMPLETED)
    .group_by(history.c.execution_id)
)


class Reader(StatusQueries, RemovalQueries, VerificationQueries):
    """A journal that can be read, by any thread."""

    def execution(self, execution_id: int) -> ExecutionRecord:
        """Return an execution; raise KeyError if there is none."""
        for row in self._rows(_EXECUTION.where(execution.c.id == execution_id)):
            return ExecutionRecord(*row)
        raise KeyError(execution_id)

    def find(self, server: str, prefix: str, rid: str) -> ExecutionRecord | None:
        """Return the execution of that directory, or None."""
        for row in self._rows(_EXECUTION.where(*same_unit(server, prefix, rid))):
            return ExecutionRecord(*row)
        return None

    def executions(
        self,
        states: Collection[ExecutionState] | None = None,
        prefix: str | None = None,
        rid: str | None = None,
        limit: int | None = None,
    ) -> list[ExecutionRecord]:
        """Return at most *limit* executions in one of *states*, below *prefix*, named *rid*.

        They are in the order of their numbers. *rid* also finds a unit of a drop folder by the RID
        of its Execution.
        """
        query = _EXECUTION.order_by(execution.c.id).limit(limit)
        if states is not None:
            query = query.where(execution.c.state.in_(states))
        if prefix is not None:
            query = query.where(execution.c.prefix == prefix)
        if rid is not None:
            query = query.where(or_(execution.c.rid == rid, execution.c.execution_rid == rid))
        return [ExecutionRecord(*row) for row in self._rows(query)]

    def unit_states(self, prefix: str) -> list[tuple[str, ExecutionState]]:
        """Return name and state of every unit below *prefix*, also of those long finished."""
        query = select(execution.c.rid, execution.c.state).where(execution.c.prefix == prefix)
        return [(name, state) for name, state in self._rows(query)]

    def with_inode(self, server: str, prefix: str, inode: int) -> list[ExecutionRecord]:
        """Return the latest few units of a drop folder that had a file with that inode."""
        known = execution.c
        query = _EXECUTION.join(file, file.c.execution_id == known.id).where(
            known.server == server, known.prefix == prefix, file.c.inode == inode
        )
        latest = self._rows(query.order_by(known.id.desc()).limit(_FEW))
        return [ExecutionRecord(*row) for row in latest]

    def due(self, now: datetime, latest: datetime | None = None) -> list[ExecutionRecord]:
        """Return the waiting executions whose time has come, the most overdue first.

        One that waits for a time after *latest* is due too: no wait is that long, so the clock was
        set back.
        """
        waiting, next_at = execution.c.state == ExecutionState.WAITING, execution.c.next_at
        is_due = next_at <= now if latest is None else or_(next_at <= now, next_at > latest)
        query = _EXECUTION.where(waiting, is_due)
        return [ExecutionRecord(*row) for row in self._rows(query.order_by(execution.c.next_at))]

    def with_basis(self, server: str) -> list[ExecutionRecord]:
        """Return the executions for *server* that are tried again once their `basis` changes."""
        known = execution.c
        query = _EXECUTION.where(for_server(server), known.basis.is_not(None))
        return [ExecutionRecord(*row) for row in self._rows(query.order_by(known.id))]

    def files(self, execution_id: int) -> list[FileRecord]:
        """Return the files of an execution by path."""
        query = _FILE.where(file.c.execution_id == execution_id).order_by(file.c.path)
        return [FileRecord(*row) for row in self._rows(query)]

    def members(self, server: str, prefix: str) -> dict[str, set[str]]:
        """Return the paths of the files of the units of a drop folder, by the unit's name.

        Files that are gone or that we removed are left out.
        """
        query = _MEMBERS.where(execution.c.server == server, execution.c.prefix == prefix)
        found: defaultdict[str, set[str]] = defaultdict(set)
        for rid, path in self._rows(query):
            found[rid].add(path)
        return dict(found)

    def members_of(self, server: str, prefix: Path, rid: str) -> list[str]:
        """Return the paths that `members` has for one unit."""
        return [
            path for _, path in self._rows(_MEMBERS.where(*same_unit(server, str(prefix), rid)))
        ]

    def abandoned_jobs(self, server: str) -> list[FileRecord]:
        """Return the files for *server* whose open upload jobs nobody will continue."""
        over = or_(_IS_OVER, file.c.held.is_not(None), file.c.state.in_(_NOT_SENT))
        query = _FILE.join(execution, execution.c.id == file.c.execution_id).where(
            for_server(server),
            execution.c.state != ExecutionState.UPLOADING,
            file.c.job.is_not(None),
            over,
        )
        return [FileRecord(*row) for row in self._rows(query)]

    def unlinked(self, server: str) -> dict[int, list[str]]:
        """Return the files for *server* with a row but no links, by execution number.

        Only those that no worker will link: the directory is gone or the execution is cancelled.
        """
        query = (
            select(file.c.execution_id, file.c.path)
            .join(execution, execution.c.id == file.c.execution_id)
            .where(file.c.state == FileState.RECORDED, for_server(server))
            .where(_IS_OVER, execution.c.state != ExecutionState.UPLOADING)
        )
        found: defaultdict[int, list[str]] = defaultdict(list)
        for number, path in self._rows(query):
            found[number].append(path)
        return dict(found)

    def paused(self) -> Hold | None:
        """Return the hold that pauses all work, or None."""
        return next((Hold.of(row[0]) for row in self._rows(select(pause.c.held))), None)

    def held(self) -> list[ExecutionRecord]:
        """Return the executions that a person holds, by number."""
        query = _EXECUTION.where(execution.c.held.is_not(None)).order_by(execution.c.id)
        return [ExecutionRecord(*row) for row in self._rows(query)]

    def held_files(self) -> list[FileRecord]:
        """Return the files that a person has cancelled, by number."""
        query = _FILE.where(file.c.held.is_not(None)).order_by(file.c.id)
        return [FileRecord(*row) for row in self._rows(query)]

    def holders(
        self, urls: Iterable[str], *, unlike: str | None = None
    ) -> dict[str, frozenset[int]]:
        """Return the ids of the files that have one of the object versions, by URL.

        Files whose `statement` is *unlike* are left out.
        """
        others = true() if unlike is None else file.c.statement.is_distinct_from(unlike)
        found: defaultdict[str, set[int]] = defaultdict(set)
        for part in in_parts(list(urls)):
            for url, number in self._rows(
                select(file.c.url, file.c.id).where(file.c.url.in_(part), others)
            ):
                found[url].add(number)
        return {url: frozenset(numbers) for url, numbers in found.items()}

    def batches(self, file_id: int, first: int, limit: int) -> list[BatchRecord]:
        """Return at most *limit* batches of a file's rows, from row *first* on, in order."""
        query = _BATCH.where(batch.c.file_id == file_id, batch.c.first >= first)
        rows = self._rows(query.order_by(batch.c.first).limit(limit))
        return [BatchRecord(*row) for row in rows]

    def digests(self, execution_id: int) -> list[ContentDigest]:
        """Return the digests kept for an execution."""
        query = _DIGEST.where(digest.c.execution_id == execution_id)
        return [ContentDigest(*row) for row in self._rows(query)]

    def history(self, execution_id: int) -> list[HistoryRecord]:
        """Return the history of an execution and its files, in order."""
        query = _HISTORY.where(history.c.execution_id == execution_id).order_by(history.c.id)
        return [HistoryRecord(*row) for row in self._rows(query)]

    def started_at(self) -> datetime:
        """Return when the journal got its first execution; it must have one."""
        at: datetime = self._rows(select(func.min(history.c.at)))[0][0]
        return at

    def damaged_journals(self) -> list[DamagedJournal]:
        """Return the damaged journals that this one replaces, in order."""
        query = _DAMAGED.order_by(damaged_journal.c.path)  # their names contain the time
        return [DamagedJournal(*row) for row in self._rows(query)]

    def servers(self) -> list[str]:
        """Return every "host/catalog" that an execution goes to."""
        query = select(execution.c.server).distinct().order_by(execution.c.server)
        return [row[0] for row in self._rows(query)]

    def execution_counts(self) -> dict[ExecutionState, int]:
        """Return how many executions there are in each state that has any."""
        query = select(execution.c.state, func.count()).group_by(execution.c.state)
        return dict(self._rows(query))

    def pending_since(self) -> datetime | None:
        """Return when the oldest execution that is complete but not uploaded became complete."""
        completed = _COMPLETED.subquery()
        since: datetime | None = self._rows(select(func.min(completed.c.at)))[0][0]
        return since

    def pending(self) -> dict[tuple[str, str], datetime]:
        """Return when each complete, not yet uploaded execution became so, by prefix and name."""
        return {(prefix, rid): at for at, prefix, rid in self._rows(_COMPLETED)}

    def daemon(self) -> int | None:
        """Return the PID of the daemon that holds the journal, or None."""
        with explained("read", self.path):
            return lock.holder(self.path)
