"""Reclaims the room of executions that are uploaded, where a person or `[reclaim] mode` says so.

What is verified again at that moment goes, by the same way as out of drop folders; the directory,
its receipt and what is no file of the server stay. How long ago it was uploaded is counted by the
clock of this host or of the server, whichever says less: one that is set forward makes nothing old.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from deriva_watch.cleanup.remover import Ground
from deriva_watch.cleanup.unit_cleaner import Emptying
from deriva_watch.core.errors import (
    CredentialError,
    RefusedError,
    SettingsError,
    TransientError,
)
from deriva_watch.core.events import OrderApplied
from deriva_watch.core.layout import ROOT, is_execution
from deriva_watch.core.orders.orders import Reclaim
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.removal.removal import age
from deriva_watch.core.states import FileState
from deriva_watch.edges.disk import receipts
from deriva_watch.edges.host.spool import Lying, Orders
from deriva_watch.edges.journal import Journal, Reader
from deriva_watch.pipeline.unit_paths import execution_root
from deriva_watch.settings.model import Settings

_WHOLE: Final = 100  # percent


def execution_ground(unit: ExecutionRecord) -> Ground:
    """Return where the files of an execution directory may be removed."""
    base = f"{ROOT}/execution/{unit.rid}/"
    return Ground(Path(unit.prefix), base, move=False, whole=True, is_ml=True)


def reclaimable(
    journal: Journal | Reader, server: str, rids: tuple[str, ...] = ()
) -> list[ExecutionRecord]:
    """Return the uploaded execution directories, or those of *rids*, the oldest first."""
    wanted = frozenset(rids)
    found = (unit for unit in journal.reclaimable(server) if is_execution(unit.rid))
    return [unit for unit in found if unit.rid in wanted or not wanted]


@dataclass(slots=True)
class Reclaiming:
    """Decides which executions are emptied, and when.

    Attributes:
        emptying: Removes the files of one.
        orders: Where a person's orders lie.
        settings: `[reclaim]`, and where the receipts are.
    """

    emptying: Emptying
    orders: Orders
    settings: Settings
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _ended: dict[Path, set[int]] = field(default_factory=dict)  # executions by order

    def obey(self) -> None:
        """Carry out what a person orders; an order lies there until all of it is done."""
        with suppress(SettingsError):  # the main loop says that orders cannot be read
            for lying in self.orders.lying(self.emptying.pipeline.emit, Reclaim):
                if self.emptying.must_wait(urgent=True) or not self._obeyed(lying):
                    return
                lying.remove()
                del self._ended[lying.path]

    def _obeyed(self, lying: Lying[Reclaim]) -> bool:
        order, ended = lying.order, self._ended.setdefault(lying.path, set())
        if not self.carry_out(order, ended):
            return False
        pipeline = self.emptying.pipeline
        rids = sorted(pipeline.journal.execution(each).rid for each in ended)
        told = OrderApplied(order=order.KIND, by=order.by, reason=order.reason, executions=rids)
        pipeline.emit(told)
        return True

    def once(self) -> None:
        """Carry out orders, then what the settings say."""
        self.obey()
        said = self.settings.reclaim
        if said.mode == "never" or self.emptying.must_wait():
            return
        pipeline = self.emptying.pipeline
        units = [
            unit
            for unit in reclaimable(pipeline.journal, pipeline.server)
            if not ((unit.removal or {}).get("done") or self.emptying.rests(unit))
        ]
        for unit in self._old_enough(units, timedelta(days=said.after_days)) or ():
            if self.emptying.must_wait():
                return
            if said.mode == "after_days" or self._is_full(Path(unit.prefix)):
                self._empty(unit, urgent=said.mode == "disk_pressure")

    def carry_out(self, order: Reclaim, ended: set[int]) -> bool:
        """Empty what an order names; False: it has to go on later. *ended* are those done."""
        pipeline = self.emptying.pipeline
        found = reclaimable(pipeline.journal, pipeline.server, order.rids)
        units = self._old_enough(found, timedelta(seconds=order.older_than_s))
        if units is None:
            return False
        for unit in units:
            if unit.id not in ended:
                if not self._empty(unit, urgent=True):
                    return False
                ended.add(unit.id)
        return True

    def _old_enough(
        self, units: list[ExecutionRecord], older_than: timedelta
    ) -> list[ExecutionRecord] | None:
        """Return those that are so old; None: the server, which is asked, does not tell now."""
        if not units:
            return []
        try:
            now, server_now = self.now(), self.emptying.pipeline.server_time()
        except (TransientError, CredentialError, RefusedError) as error:
            self.emptying.breaker.trip(error)
            return None
        return [unit for unit in units if age(unit.changed_at, now, server_now) >= older_than]

    def _is_full(self, prefix: Path) -> bool:
        try:
            found = os.statvfs(prefix)
        except OSError:
            return False  # it is not there now
        return _WHOLE * found.f_bavail < self.settings.reclaim.min_free_percent * found.f_blocks

    def _empty(self, unit: ExecutionRecord, *, urgent: bool) -> bool:
        ended = self.emptying.empty(unit, execution_ground(unit), urgent=urgent)
        self._tell_receipt(unit)
        return ended

    def _tell_receipt(self, unit: ExecutionRecord) -> None:
        """Say in the receipt which files are not here any more."""
        pipeline = self.emptying.pipeline
        files = pipeline.journal.files(unit.id)
        gone = {file.path for file in files if file.state is FileState.REMOVED}
        root = execution_root(Path(unit.prefix), unit.rid)
        folder, server = self.settings.state_directory, pipeline.server
        receipts.tell_removed(folder, server, receipts.kept_as(unit), root, gone)
