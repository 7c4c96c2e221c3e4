"""Decides when the daemon removes uploaded files: in drop folders, by order, and by `[reclaim]`.

It is a thread of its own, with low priority: uploads go first. How long ago a unit of a drop folder
was uploaded is counted by the host's uptime, so that no change of a clock makes it long enough.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from deriva_watch.cleanup.policy import Policy, policy_of
from deriva_watch.cleanup.retention import Retention
from deriva_watch.cleanup.unit_cleaner import UnitCleaner
from deriva_watch.core.drop.drop_folder import MOVED, Drop
from deriva_watch.core.errors import SettingsError
from deriva_watch.core.events import FileRestored, OrderApplied
from deriva_watch.core.layout import ROOT
from deriva_watch.core.orders.orders import Reclaim
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.disk import restore
from deriva_watch.edges.host.machine import boot
from deriva_watch.edges.host.spool import Orders, PendingOrder
from deriva_watch.edges.watching.tree import identity
from deriva_watch.liveness import depending_on
from deriva_watch.pipeline.background import background
from deriva_watch.pipeline.crash_report import report_crash
from deriva_watch.settings.model import Settings

PASS_S: Final = 60.0  # how often, at least, the units that are due are cleaned
ORDERS_S: Final = 1.0  # how often new orders are looked for


@dataclass(slots=True)
class Scheduler:
    """Cleans the units of drop folders and of executions when they are due.

    Attributes:
        cleaner: Removes the files of one unit.
        retention: Cleans execution directories.
        orders: Where orders wait.
        settings: `[reclaim]`, and the watched folders.
        drops: The drop folders by path.
        policy_of: Returns the policy of a unit in a drop folder.
    """

    cleaner: UnitCleaner
    retention: Retention
    orders: Orders
    settings: Settings
    drops: Mapping[Path, Drop]
    policy_of: Callable[[ExecutionRecord, Drop | None], Policy] = policy_of
    _thread: threading.Thread | None = None
    _next_s: float = 0.0  # when what is due is cleaned again
    _searched: set[tuple[Path, tuple[int, int]]] = field(default_factory=set)
    _done: dict[Path, set[int]] = field(default_factory=dict)  # executions by file of the order

    # ------------------------------------------------------------------ the thread

    def start(self, guard: Callable[[Callable[[], None]], None]) -> None:
        """Start the thread; *guard* runs each piece of its work."""
        delays = (drop.after_delay_s for drop in self.drops.values() if drop.after != "keep")
        pass_s = max(0.2, min(PASS_S, *(each / 10 for each in delays), PASS_S))
        self._next_s = 0.0
        self._thread = background(
            "removal",
            partial(self._work, guard, pass_s),
            min(pass_s, ORDERS_S),
            self.cleaner.stop,
            partial(report_crash, self.cleaner.emit, "the removal of uploaded files"),
            is_meant=lambda thread: thread is self._thread,
        )
        self._thread.start()

    def end(self, within_s: float) -> None:
        """Wait until the thread ends, for *within_s* at most; the stop event must be set."""
        if self._thread:
            self._thread.join(within_s)

    def _work(self, guard: Callable[[Callable[[], None]], None], pass_s: float) -> None:
        """Carry out orders; every *pass_s*, also clean what is due."""
        is_due = time.monotonic() >= self._next_s
        if is_due:
            self._next_s = time.monotonic() + pass_s
        for work in self._works(is_due=is_due):
            guard(work)

    def _works(self, *, is_due: bool) -> Iterator[Callable[[], None]]:
        if self.drops and is_due:
            yield self.clean_drops
        yield self.carry_out_orders
        if is_due:
            yield self.clean_executions

    # ------------------------------------------------------------------ after a crash

    def recover(self, root: Path | None) -> None:
        """Find out how the removals of a dead process ended; call it before the first look.

        In *root*; None: in folders that the settings do not name any more.
        """

        def is_meant(prefix: Path) -> bool:
            return prefix == root if root else not self.settings.names(prefix)

        self.cleaner.recover(self._policy, is_meant)
        if root is None or root in self.drops:
            return
        if self.cleaner.journal.damaged_journals():  # it knew which files of executions are aside
            self._put_back(root, root / ROOT / "execution", None)

    def _policy(self, unit: ExecutionRecord) -> Policy:
        return self.policy_of(unit, self.drops.get(Path(unit.prefix)))

    def _search_drops(self) -> None:
        """Put back files that are aside and that no journal knows of, once for each folder."""
        for path, drop in self.drops.items():
            if self.cleaner.hangs_at(path):
                continue
            with depending_on(path):
                found = identity(path)
            if found is None:
                continue  # a later pass finds it
            if (path, found) in self._searched:
                continue
            self._searched.add((path, found))
            moved = MOVED if drop.after == "move" else None
            self._put_back(path, path, moved)

    def _put_back(self, prefix: Path, folder: Path, but: str | None) -> None:
        for back in restore.put_back(folder, but=but):
            told = FileRestored(prefix=str(prefix), path=back.path, now=back.now, why=back.why)
            self.cleaner.emit(told)

    # ------------------------------------------------------------------ the work

    def clean_drops(self) -> None:
        """Clean the units of drop folders that are due."""
        self._search_drops()
        drops = {path: drop for path, drop in self.drops.items() if drop.after != "keep"}
        if not drops:
            return
        journal, server = self.cleaner.journal, self.cleaner.server
        uptime_s = journal.uptime_s(*boot())
        for path, drop in drops.items():
            if self.cleaner.hangs_at(path):
                continue
            for unit in journal.unremoved_units(server, str(path)):
                if self._is_due(unit, drop, uptime_s) and not self.cleaner.must_wait():
                    self.cleaner.clean(unit, self.policy_of(unit, drop))

    def _is_due(self, unit: ExecutionRecord, drop: Drop, uptime_s: float) -> bool:
        known = unit.removal or {}
        if "since_s" not in known:  # it has just been uploaded
            known = {"since_s": uptime_s}
            self.cleaner.note(unit, known)
            self.cleaner.forget(unit)
        waited = uptime_s - known["since_s"] >= drop.after_delay_s
        return waited and not self.cleaner.is_kept(unit)

    def clean_executions(self) -> None:
        """Clean the executions that `[reclaim]` names."""
        self.retention.clean_due(self.settings.reclaim)

    def carry_out_orders(self) -> None:
        """Carry out orders; each waits in its folder until all of it is done."""
        with suppress(SettingsError):  # the main loop reports that orders cannot be read
            for pending in self.orders.pending(self.cleaner.emit, Reclaim):
                if self.cleaner.must_wait(urgent=True) or not self._is_carried_out(pending):
                    return
                pending.remove()
                del self._done[pending.path]

    def _is_carried_out(self, pending: PendingOrder[Reclaim]) -> bool:
        order, done = pending.order, self._done.setdefault(pending.path, set())
        if not self.retention.carry_out(order, done):
            return False
        rids = sorted(self.cleaner.journal.execution(each).rid for each in done)
        told = OrderApplied(order=order.KIND, by=order.by, reason=order.reason, executions=rids)
        self.cleaner.emit(told)
        return True
