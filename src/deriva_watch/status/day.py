"""The last day for the chart: the samples in the journal, and the step in progress."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from deriva_watch.core.stats.day import SHOWN, STEP, Sample, step_of
from deriva_watch.edges.journal import Journal
from deriva_watch.status.json_values import plain
from deriva_watch.status.sections import backlog


def _now() -> datetime:
    return datetime.now(UTC)


class Day:
    """Keeps a sample of each step. Thread-safe; all methods but `left_s` may take long."""

    def __init__(
        self, journal: Journal, sent_bytes: Callable[[], int], now: Callable[[], datetime] = _now
    ) -> None:
        """Begin a step; *sent_bytes* returns how many bytes this process has sent so far."""
        self._journal, self._sent_bytes, self._now = journal, sent_bytes, now
        self._kept_bytes = sent_bytes()
        self._at = step_of(now())
        self._lock = threading.Lock()

    def left_s(self) -> float:
        """Return the time until the step in progress ends, in seconds."""
        now = self._now()
        return (step_of(now) + STEP - now).total_seconds()

    def keep(self) -> None:
        """Write the sample of the step in progress; begin the current one."""
        with self._lock:
            sent_bytes, now = self._sent_bytes(), self._now()
            self._journal.keep_sample(self._sample(sent_bytes))
            self._kept_bytes, self._at = sent_bytes, step_of(now)

    def view(self) -> dict[str, Any]:
        """Return the last day, oldest first, without steps in which no daemon ran."""
        with self._lock:
            samples = {each.at: each for each in self._journal.samples(self._now() - SHOWN)}
            going = self._sample(self._sent_bytes())
        before = samples.get(going.at)
        sent_bytes = going.sent_bytes + (before.sent_bytes if before else 0)
        samples[going.at] = Sample(going.at, sent_bytes, going.backlog_files, going.backlog_bytes)
        return {
            "step_s": int(STEP.total_seconds()),
            "points": [
                {
                    "at": plain(each.at),
                    "sent_bytes": each.sent_bytes,
                    "backlog_files": each.backlog_files,
                    "backlog_bytes": each.backlog_bytes,
                }
                for _, each in sorted(samples.items())
            ],
        }

    def _sample(self, sent_bytes: int) -> Sample:
        waiting = backlog(self._journal.totals())
        return Sample(self._at, sent_bytes - self._kept_bytes, waiting.files, waiting.bytes)
