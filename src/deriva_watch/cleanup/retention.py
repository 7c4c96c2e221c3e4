"""Cleans execution directories that were uploaded long enough ago, by order or by `[reclaim]`.

The directory, its receipt and files that the server does not hold as objects stay. The age of an
upload is counted by this host's clock and by the server's, and the smaller one counts: a clock that
is set forward makes nothing old.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from deriva_watch.cleanup.policy import reclaim_policy
from deriva_watch.cleanup.unit_cleaner import UnitCleaner
from deriva_watch.core.layout import is_execution
from deriva_watch.core.orders.orders import Reclaim
from deriva_watch.core.read_back import ReadBack
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.removal.removal import age
from deriva_watch.edges.journal import Journal, Reader
from deriva_watch.liveness import depending_on
from deriva_watch.settings import sections

_WHOLE: Final = 100  # percent


def reclaimable(
    journal: Journal | Reader, server: str, rids: Iterable[str] = ()
) -> list[ExecutionRecord]:
    """Return the uploaded execution directories, or those of *rids*, the oldest first."""
    wanted = frozenset(rids)
    found = (unit for unit in journal.reclaimable(server) if is_execution(unit.rid))
    return [unit for unit in found if unit.rid in wanted or not wanted]


@dataclass(slots=True)
class Retention:
    """Decides which execution directories are cleaned, and when.

    Attributes:
        cleaner: Removes the files of one.
        server_time: Asks the server for the time; None: it does not say.
        read_back: How much of each object is read back, unless an order says it.
        now: The time of this host, UTC.
    """

    cleaner: UnitCleaner
    server_time: Callable[[], datetime | None]
    read_back: ReadBack = "sample"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def carry_out(self, order: Reclaim, done: set[int]) -> bool:
        """Clean what an order names, except the units in *done*, to which it adds.

        Returns False where it must be called again later.
        """
        cleaner = self.cleaner
        found = reclaimable(cleaner.journal, cleaner.server, order.rids)
        units = self._old_enough(found, timedelta(seconds=order.older_than_s))
        if units is None:
            return False
        left = [unit for unit in units if unit.id not in done]
        hanging = [unit for unit in left if cleaner.hangs_at(Path(unit.prefix))]
        for unit in left:
            if unit not in hanging:
                policy = reclaim_policy(unit, order.read_back or self.read_back)
                if not cleaner.clean(unit, policy, urgent=True):
                    return False
                done.add(unit.id)
        return not hanging

    def clean_due(self, settings: sections.Reclaim) -> None:
        """Clean what the settings say."""
        cleaner = self.cleaner
        if settings.mode == "never" or cleaner.must_wait():
            return
        units = [
            unit
            for unit in reclaimable(cleaner.journal, cleaner.server)
            if not ((unit.removal or {}).get("done") or cleaner.is_kept(unit))
        ]
        is_urgent = settings.mode == "disk_pressure"
        for unit in self._old_enough(units, timedelta(days=settings.after_days)) or ():
            if cleaner.must_wait():
                return
            if cleaner.hangs_at(Path(unit.prefix)):
                continue
            if not is_urgent or _is_full(unit.prefix, settings.min_free_percent):
                policy = reclaim_policy(unit, self.read_back)
                cleaner.clean(unit, policy, urgent=is_urgent)

    def _old_enough(
        self, units: list[ExecutionRecord], older_than: timedelta
    ) -> list[ExecutionRecord] | None:
        """Return the units that are old enough; None where the server does not answer now."""
        if not units:
            return []
        with self.cleaner.breaker.tripping():
            now, server_now = self.now(), self.server_time()
            return [unit for unit in units if age(unit.changed_at, now, server_now) >= older_than]
        return None


def _is_full(prefix: str, min_free_percent: float) -> bool:
    try:
        with depending_on(prefix):
            found = os.statvfs(prefix)
    except OSError:
        return False  # it is not there now
    return _WHOLE * found.f_bavail < min_free_percent * found.f_blocks
