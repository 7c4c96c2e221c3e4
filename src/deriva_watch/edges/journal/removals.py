"""The questions of those who take files away that are uploaded."""

from typing import Final

from sqlalchemy import ColumnElement, select, true

from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.edges.journal.overview import Overview
from deriva_watch.edges.journal.rows import select_records
from deriva_watch.edges.journal.schema import execution, file

_EXECUTION: Final = select_records(execution, ExecutionRecord)
_FILE: Final = select_records(file, FileRecord)
_PAST: Final = (FileState.GONE, FileState.REMOVED)
_LEFT_OUT: Final = (FileState.UNMATCHED, FileState.IGNORED, FileState.REFUSED)

_STAMP: Final = ("size_bytes", "mtime_ns", "device")


class Removals(Overview):
    """What may be removed, what is being removed, and what holds it back."""

    def being_removed(self, server: str) -> list[FileRecord]:
        """Return the files for *server* of which it is not written down how their removal ended."""
        query = _FILE.join(execution, execution.c.id == file.c.execution_id).where(
            few_of(server),
            file.c.removal.is_not(None),
            file.c.state != FileState.REMOVED,
        )
        return [FileRecord(*row) for row in self._rows(query.order_by(file.c.id))]

    def clearable(self, server: str, prefix: str) -> list[ExecutionRecord]:
        """Return the uploaded units of a drop folder that are not cleared yet, by number."""
        known = execution.c
        query = _EXECUTION.where(
            known.server == server,
            known.prefix == prefix,
            known.state == ExecutionState.UPLOADED,
            known.removal["done"].as_boolean().is_distinct_from(true()),
            known.held.is_(None),
        )
        return [ExecutionRecord(*row) for row in self._rows(query.order_by(known.id))]

    def reclaimable(self, server: str) -> list[ExecutionRecord]:
        """Return the uploaded execution directories that nobody holds back, the oldest first."""
        known = execution.c
        query = _EXECUTION.where(
            known.server == server,
            known.unit.is_(None),
            known.state == ExecutionState.UPLOADED,
            known.held.is_(None),
        )
        return [ExecutionRecord(*row) for row in self._rows(query.order_by(known.changed_at))]

    def shared(self, execution_id: int) -> set[tuple[int, int, int, int]]:
        """Return the stamps of those files of an execution that another one links to."""
        other = file.alias()
        query = (
            select(file.c.size_bytes, file.c.mtime_ns, file.c.device, file.c.inode)
            .join(other, other.c.inode == file.c.inode)
            .join(execution, execution.c.id == other.c.execution_id)
            .where(file.c.execution_id == execution_id, other.c.execution_id != execution_id)
            .where(
                *(other.c[name] == file.c[name] for name in ("size_bytes", "mtime_ns", "device"))
            )
            .where(other.c.state.not_in(_PAST), execution.c.state != ExecutionState.GONE)
        )
        return {tuple(row) for row in self._rows(query)}

    def left_out(self, server: str, prefix: str) -> list[str]:
        """Return the paths of the files dropped below *prefix* that nothing was made of."""
        query = (
            select(file.c.path)
            .join(execution, execution.c.id == file.c.execution_id)
            .where(execution.c.server == server, execution.c.prefix == prefix)
            .where(file.c.state.in_(_LEFT_OUT))
        )
        return [row[0] for row in self._rows(query)]


def few_of(server: str) -> ColumnElement[bool]:
    """Return the condition that names a server, where another one leaves few rows.

    It is no bare column, or SQLite, which has no statistics, would begin with all executions of
    the server and go through all of their files.
    """
    return (execution.c.server + "") == server
