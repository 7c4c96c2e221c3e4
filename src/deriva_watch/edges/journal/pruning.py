"""Deletes old history of files, a little at a time: most of a journal would be that.

What goes are the steps of a file on its way into the catalog, once its unit has been at rest for
long. What stays: the line that says how each file ended, every line of the unit itself, and all
units and files: these keep a unit from being uploaded again, and are what is verified later.
"""

import math
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, exists, select

from deriva_watch.core.states import AT_REST, FileState
from deriva_watch.edges.journal.schema import execution, history

FIRST_S: Final = 60.0  # from the start to the first step: a start has other work
STEP_S: Final = 1.0  # between two steps; each keeps the writer for some milliseconds
PASS_S: Final = 6 * 3600.0
LINES: Final = 500  # that one step looks at

_ON_THE_WAY: Final = (FileState.FOUND, FileState.HASHED, FileState.STORED, FileState.RECORDED)


@dataclass(slots=True)
class Pruning:
    """Goes through the history in the order of its lines, again and again.

    Attributes:
        keep: How long history is kept; None: for ever.
    """

    keep: timedelta | None = None
    _after: int = 0  # the last line that this pass has seen
    _due_s: float = 0.0

    def __post_init__(self) -> None:
        """Wait until the start is over."""
        self._due_s = time.monotonic() + FIRST_S if self.keep else math.inf

    @property
    def wait_s(self) -> float | None:
        """How long until the next step; None: there is none."""
        return None if self._due_s == math.inf else max(0.0, self._due_s - time.monotonic())

    def rest(self) -> None:
        """End this pass; the next one begins later."""
        self._after, self._due_s = 0, time.monotonic() + PASS_S

    def step(self, connection: Connection, now: datetime) -> None:
        """Delete what is old enough among the next lines."""
        if self.keep is None:
            return
        before, line = now - self.keep, history.c
        following = select(line.id, line.at).where(line.id > self._after).order_by(line.id)
        lines = connection.execute(following.limit(LINES)).all()
        if not lines or lines[0].at >= before:
            self.rest()
            return
        at_rest = exists().where(
            execution.c.id == line.execution_id,
            execution.c.state.in_(AT_REST),
            execution.c.changed_at < before,
        )
        connection.execute(
            delete(history).where(
                line.id > self._after,
                line.id <= lines[-1].id,
                line.at < before,
                line.file_id.is_not(None),
                line.after.in_([state.value for state in _ON_THE_WAY]),
                at_rest,
            )
        )
        self._after, self._due_s = lines[-1].id, time.monotonic() + STEP_S
