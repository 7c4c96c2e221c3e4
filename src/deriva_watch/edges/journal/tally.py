"""How many files each execution has in each state, and their bytes, kept as they move.

To count a million files takes longer than the second after which somebody looks again.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from deriva_watch.core.records import FileRecord
from deriva_watch.core.states import FileState
from deriva_watch.core.stats.day import KEPT, Sample
from deriva_watch.edges.journal.rows import LIST_LENGTH
from deriva_watch.edges.journal.schema import sample, tally

_Place = tuple[int, FileState]  # of an execution


class Tally:
    """What one transaction changes in the counts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changes: defaultdict[_Place, list[int]] = defaultdict(lambda: [0, 0])

    def moved(self, before: FileRecord | None, after: FileRecord) -> None:
        """Count a file that is *after* now; *before* is None where it was added."""
        if before is not None:
            self._count(before, -1)
        self._count(after, 1)

    def write(self) -> None:
        """Write what was counted since the last time."""
        changed = {place: by for place, by in self._changes.items() if any(by)}
        self._changes.clear()
        if not changed:
            return
        known = self._known({number for number, _ in changed})
        new = [_row(place) for place in changed if place not in known]
        if new:
            self._connection.execute(insert(tally), new)
        at_place = (tally.c.execution_id == bindparam("number")) & (
            tally.c.state == bindparam("place")
        )
        sums: dict[str, Any] = {
            "files": tally.c.files + bindparam("more_files"),
            "bytes": tally.c.bytes + bindparam("more_bytes"),
        }
        self._connection.execute(
            update(tally).where(at_place).values(sums),
            [
                {"number": number, "place": state, "more_files": files, "more_bytes": size_bytes}
                for (number, state), (files, size_bytes) in changed.items()
            ],
        )

    def _count(self, file: FileRecord, sign: int) -> None:
        counts = self._changes[file.execution_id, file.state]
        counts[0] += sign
        counts[1] += sign * file.size_bytes

    def _known(self, executions: Iterable[int]) -> set[_Place]:
        asked = sorted(executions)
        found: set[_Place] = set()
        for start in range(0, len(asked), LIST_LENGTH):
            part = tally.c.execution_id.in_(asked[start : start + LIST_LENGTH])
            rows = self._connection.execute(select(tally.c.execution_id, tally.c.state).where(part))
            found.update((number, state) for number, state in rows)
        return found


def _row(place: _Place) -> dict[str, Any]:
    number, state = place
    return {"execution_id": number, "state": state, "files": 0, "bytes": 0}


def keep(connection: Connection, new: Sample) -> None:
    """Write *new*; where there is one of the same step already, what both sent is added up."""
    same = sample.c.at == new.at
    sent_bytes = connection.scalar(select(sample.c.sent_bytes).where(same)) or 0
    connection.execute(delete(sample).where(same | (sample.c.at < new.at - KEPT)))
    connection.execute(insert(sample), asdict(replace(new, sent_bytes=new.sent_bytes + sent_bytes)))
