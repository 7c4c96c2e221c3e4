"""The queries about verification in the background."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import func, select

from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.states import AT_REST, ExecutionState
from deriva_watch.edges.journal.queries import Queries, for_server, select_records
from deriva_watch.edges.journal.schema import execution

_EXECUTION: Final = select_records(execution, ExecutionRecord)
_WAS_UPLOADED: Final = execution.c.proved_at.is_not(None)
_MOVING: Final = tuple(set(ExecutionState) - AT_REST)


class VerificationQueries(Queries):
    """Queries: which units are verified next, and how old the proofs are."""

    def oldest_proof(self) -> ExecutionRecord | None:
        """Return the unit whose proof is the oldest; None: none was uploaded."""
        query = _EXECUTION.where(_WAS_UPLOADED).order_by(execution.c.proved_at).limit(1)
        return next((ExecutionRecord(*row) for row in self._rows(query)), None)

    def differing(self, limit: int | None = None) -> list[ExecutionRecord]:
        """Return at most *limit* units of which the server has something else, by number."""
        query = _EXECUTION.where(execution.c.differs.is_not(None)).order_by(execution.c.id)
        return [ExecutionRecord(*row) for row in self._rows(query.limit(limit))]

    def count_differing(self) -> int:
        """Return the number of units that `differing` returns without a limit."""
        query = select(func.count()).where(execution.c.differs.is_not(None))
        count: int = self._rows(query)[0][0]
        return count

    def verified_first(self, server: str, but: Collection[int]) -> ExecutionRecord | None:
        """Return the unit at rest that was verified the longest time ago, and is none of *but*."""
        query = (
            _EXECUTION.where(_WAS_UPLOADED, for_server(server))
            .where(execution.c.state.not_in(_MOVING), execution.c.id.not_in(but))
            .order_by(execution.c.verified_at)
            .limit(1)
        )
        return next((ExecutionRecord(*row) for row in self._rows(query)), None)

    def count_uploaded(self) -> int:
        """Return how many units were ever uploaded."""
        query = select(func.count()).where(_WAS_UPLOADED)
        count: int = self._rows(query)[0][0]
        return count
