"""What is known and not in yet."""

from collections.abc import Iterable
from typing import Final

from deriva_watch.core.states import UNDONE, ExecutionState, FileState
from deriva_watch.edges.journal.overview import Amount, Total

PENDING: Final = UNDONE | {FileState.RECORDED}


def backlog(totals: Iterable[Total]) -> Amount:
    """Return the pending files and their bytes, of all executions that are not gone."""
    there = [each for each in totals if each.execution is not ExecutionState.GONE]
    pending = [each for each in there if each.file in PENDING]
    return Amount(sum(each.files for each in pending), sum(each.bytes for each in pending))
