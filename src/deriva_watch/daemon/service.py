"""The daemon's loop: it decides what is due; lanes look, and other threads upload and clean.

    watcher (hints) ─▶ look queue of a root ─▶ its lane: a look ─▶ journal: ready ─▶ workers

The loop makes no call that may hang. Calls go one way: service → lanes → roots → inspector →
batch former.
"""

import threading
import time
from dataclasses import dataclass
from typing import Final

from deriva_watch.cleanup.scheduler import Scheduler
from deriva_watch.commands.orders.apply import apply_orders
from deriva_watch.core.errors import JournalDamagedError, SettingsError, TroubleError
from deriva_watch.core.events import Emit, ProblemFound
from deriva_watch.core.stats.tally import in_short
from deriva_watch.daemon.hangs import Hangs
from deriva_watch.daemon.lanes import LOOK_S, Lanes
from deriva_watch.daemon.reload import Reload
from deriva_watch.daemon.reverification import Reverification
from deriva_watch.daemon.root_lane import ClockCheck
from deriva_watch.daemon.supervisor import Supervisor
from deriva_watch.daemon.workers import Workers
from deriva_watch.edges.host import systemd
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.host.spool import Orders
from deriva_watch.edges.journal import Journal
from deriva_watch.liveness import beat, begin
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.journal_guard import JournalGuard
from deriva_watch.settings.model import Settings
from deriva_watch.watch.look_queue import Looks
from deriva_watch.watch.prehash import Prehash
from deriva_watch.watch.reread import Rereader
from deriva_watch.watch.roots import Roots

TICK_S: Final = LOOK_S  # how often tasks without events of their own are done
STOP_S: Final = 7.0  # work that still waits for the network then is abandoned; the journal knows
STOP_LANES_S: Final = 1.0  # what a look has found then is found again at the next start
STOP_PREHASH_S: Final = 1.0  # for what is written into the journal
STOP_REMOVAL_S: Final = 2.0  # files that are still aside then are put back at the next start
STATUS_S: Final = 5.0  # how often systemd gets a new status line, if it changed


@dataclass(slots=True)
class Service:
    """The daemon of one catalog. `run` returns once *stop* is set and all threads have ended.

    Attributes:
        settings: The settings.
        journal: The journal.
        holds: What a person has paused.
        emit: Where events go.
        stop: Ends the daemon.
        problems: What is wrong now.
        guard: Runs the work of every thread, and ends the process where it must.
        orders: The orders of people.
        reload: Whether a reload of the settings was requested.
        breaker: Tripped while the server cannot be used.
        lanes: Ask what may hang: the roots and the server.
        hangs: Reports what does not answer.
        clock: Checked before times are compared.
        looks: The units to look at.
        roots: The watched roots.
        wake: Set when a lane may have something to do.
        prehash: Hashes files before their unit is complete; None: nothing does.
        rereader: Reads uploaded files again whose change time alone moved.
        removal: The thread that removes uploaded files.
        reverification: The thread that verifies uploaded units again.
        workers: The threads that upload.
        supervisor: The thread that watches all others.
    """

    settings: Settings
    journal: Journal
    holds: HoldCache
    emit: Emit
    stop: threading.Event
    problems: Problems
    guard: JournalGuard
    orders: Orders
    reload: Reload
    breaker: CircuitBreaker
    lanes: Lanes
    hangs: Hangs
    clock: ClockCheck
    looks: Looks
    roots: Roots
    wake: threading.Event
    prehash: Prehash | None
    rereader: Rereader
    removal: Scheduler
    reverification: Reverification
    workers: Workers
    supervisor: Supervisor
    _status: str = "watching"
    _status_at_s: float = 0.0

    def run(self) -> None:
        """Watch until *stop* is set; work that is under way stops where it is.

        Raises JournalDamagedError or LostThreadError: the process must restart.
        """
        try:
            self._run()
            if self.guard.fatal:
                raise self.guard.fatal
        except JournalDamagedError as error:
            self.emit(ProblemFound(**error.sentence()))
            raise

    def _run(self) -> None:
        begin("main")
        self.journal.void_claims()
        try:
            self.supervisor.start()
            self.workers.start()
            if self.prehash:
                self.prehash.start(self.guard.run)
            self.rereader.start()
            self.removal.start(self.guard.run)
            self.reverification.start(self.guard.run)
            systemd.notify("READY=1", "STATUS=watching")
            while not self.stop.is_set():
                self.guard.run(self._tick)
        finally:
            systemd.notify("STATUS=reloading" if self.reload.is_due else "STOPPING=1")
            self.stop.set()
            self.lanes.end(STOP_LANES_S)
            self.roots.stop()
            if self.prehash:
                self.prehash.end(STOP_PREHASH_S)
            self.rereader.end(STOP_PREHASH_S)
            self.workers.end(STOP_S)
            self.removal.end(STOP_REMOVAL_S)
            self.reverification.end(STOP_PREHASH_S)
            self.problems.clear()

    def _tick(self) -> None:
        """Do the tasks that have no event, then let lanes work for a moment."""
        self.supervisor.tend(self._in_short())
        if self.reload.asked.is_set():
            self._read_settings()
        self.clock.check()
        self.hangs.tend(self.workers.prefixes())
        self.workers.replace_stuck()
        self.guard.check()
        was_paused = self.holds.pause is not None
        self._take_orders()
        if was_paused and self.holds.pause is None:
            self.workers.wake()
        self.workers.wake_waiting()
        ends_s = time.monotonic() + TICK_S
        while not self.stop.is_set() and time.monotonic() < ends_s:
            beat()
            self.wake.clear()
            until_s = min(self.lanes.tend(), ends_s)
            self.wake.wait(max(0.0, until_s - time.monotonic()))

    def _in_short(self) -> str:
        """Return the state of the uploads as one line for `systemctl status`."""
        if time.monotonic() > self._status_at_s + STATUS_S:
            self._status_at_s = time.monotonic()
            self._status = in_short(self.journal.execution_counts())
        error = self.breaker.error
        return f"{error.what}: {error.why}; {self._status}" if error else self._status

    def _read_settings(self) -> None:
        """Stop, to restart with other settings, where they can be used."""
        self.problems.put("the settings", self.reload.take(self.emit))
        if self.reload.is_due:
            systemd.notify_reload()
            self.stop.set()

    def _take_orders(self) -> None:
        trouble: TroubleError | None
        try:
            for record in apply_orders(self.orders, self.journal, self.holds, self.emit):
                self.looks.soon(self.settings.unit_of(record))
            trouble = self.orders.trouble()
        except SettingsError as error:
            trouble = error
        self.problems.report("the orders", trouble)
