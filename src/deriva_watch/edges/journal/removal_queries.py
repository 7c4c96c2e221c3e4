"""The queries about the removal of uploaded files."""

from typing import Final

from sqlalchemy import literal, select, true

from deriva_watch.core.completeness.observation import Stamp
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.edges.journal.queries import Queries, for_server, select_records
from deriva_watch.edges.journal.schema import execution, file

_EXECUTION: Final = select_records(execution, ExecutionRecord)
_FILE: Final = select_records(file, FileRecord)
_REMOVED: Final = literal(
    FileState.REMOVED, file.c.state.type, literal_execute=True
)  # see the index
_PAST: Final = (FileState.GONE, FileState.REMOVED)
_LEFT_OUT: Final = (FileState.UNMATCHED, FileState.IGNORED, FileState.REFUSED)


class RemovalQueries(Queries):
    """Queries: what may be removed, what is being removed, and what must stay."""

    def being_removed(self, server: str) -> list[FileRecord]:
        """Return the files for *server* whose removal began and is not known to have ended."""
        query = _FILE.join(execution, execution.c.id == file.c.execution_id).where(
            for_server(server),
            file.c.removal.is_not(None),
            file.c.state != _REMOVED,
        )
        return [FileRecord(*row) for row in self._rows(query.order_by(file.c.id))]

    def unremoved_units(self, server: str, prefix: str) -> list[ExecutionRecord]:
        """Return the uploaded units of a drop folder whose files are not all removed, by number."""
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
        """Return the uploaded execution directories that nobody holds, the oldest first."""
        known = execution.c
        query = _EXECUTION.where(
            known.server == server,
            known.unit.is_(None),
            known.state == ExecutionState.UPLOADED,
            known.held.is_(None),
        )
        return [ExecutionRecord(*row) for row in self._rows(query.order_by(known.changed_at))]

    def shared_stamps(self, execution_id: int) -> set[Stamp]:
        """Return the stamps of the files of an execution that another execution has too."""
        other = file.alias()
        query = (
            select(file.c.size_bytes, file.c.mtime_ns, file.c.inode)
            .join(other, other.c.inode == file.c.inode)
            .join(execution, execution.c.id == other.c.execution_id)
            .where(file.c.execution_id == execution_id, other.c.execution_id != execution_id)
            .where(*(other.c[name] == file.c[name] for name in ("size_bytes", "mtime_ns")))
            .where(other.c.state.not_in(_PAST), execution.c.state != ExecutionState.GONE)
        )
        return {tuple(row) for row in self._rows(query)}

    def left_out(self, server: str, prefix: str) -> list[str]:
        """Return the paths of the files below *prefix* that were not uploaded by decision."""
        query = (
            select(file.c.path)
            .join(execution, execution.c.id == file.c.execution_id)
            .where(execution.c.server == server, execution.c.prefix == prefix)
            .where(file.c.state.in_(_LEFT_OUT))
        )
        return [row[0] for row in self._rows(query)]
