"""How much was sent and how much waited, step by step, for a chart of the last day."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

STEP: Final = timedelta(minutes=10)
SHOWN: Final = timedelta(days=1)
KEPT: Final = timedelta(days=2)

_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sample:
    """One step of the chart.

    Attributes:
        at: When it began, a multiple of STEP.
        sent_bytes: Bytes sent in it, including those sent again.
        backlog_files: Files that were known but not uploaded when it ended.
        backlog_bytes: Their bytes.
    """

    at: datetime
    sent_bytes: int
    backlog_files: int
    backlog_bytes: int


def step_of(at: datetime) -> datetime:
    """Return when the step that contains *at* began."""
    return at - (at - _BEGINNING) % STEP
