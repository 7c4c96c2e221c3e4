"""The daemon: watches roots, looks at directories when it is worth it, hands out the complete.

    watcher (hints) ─▶ debounce queue ─▶ inspector ─▶ journal: ready ─▶ uploader workers

The caller's thread looks and judges; worker threads take ready executions through the pipeline.
"""

import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from deriva_watch.cleanup.retention import Retention
from deriva_watch.cleanup.scheduler import Scheduler
from deriva_watch.cleanup.unit_cleaner import UnitCleaner
from deriva_watch.commands.orders.apply import apply_orders
from deriva_watch.core.completeness.debounce import DebounceQueue
from deriva_watch.core.errors import (
    CredentialError,
    JournalDamagedError,
    LostThreadError,
    RefusedError,
    ServerAwayError,
    ServerBusyError,
    SettingsError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.events import ClockSet, NoticeAdded, ProblemFound
from deriva_watch.core.os_errors import passing
from deriva_watch.core.stats.tally import in_short
from deriva_watch.core.unit import Unit
from deriva_watch.daemon.reload import Reload
from deriva_watch.daemon.supervisor import Supervisor
from deriva_watch.daemon.workers import Workers
from deriva_watch.edges.host import systemd
from deriva_watch.edges.host.machine import Clock
from deriva_watch.edges.host.problems import Hindrances
from deriva_watch.edges.host.spool import Orders
from deriva_watch.liveness import beat, begin
from deriva_watch.pipeline.build import Parts
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.crash_report import report_crash
from deriva_watch.pipeline.session import LoginSession
from deriva_watch.watch.inspector import Inspector
from deriva_watch.watch.roots import Roots

TICK_S: Final = 0.5  # how often what has no event of its own is looked after
HINT_S: Final = 0.2  # a hint waits so long for more hints of the same directory
LOOK_SHARE: Final = 10  # and ten times as long as its last look took: looks stay below a tenth
STOP_S: Final = 7.0  # what then still waits for the network is left behind; the journal knows
STOP_PREHASH_S: Final = 1.0  # for what is written into the journal
REDRIVE_S: Final = 5.0  # how often it is seen whether what refusals rest on is another
TURN_S: Final = 1.0  # how soon a directory is looked at whose files are being removed
STOP_REMOVAL_S: Final = 2.0  # files that are still aside then are put back at the next start
AGAIN_S: Final = 5.0  # a look that could not be finished is repeated after so long
STATUS_S: Final = 5.0  # how often systemd is told how things stand, where that changed


@dataclass(slots=True)
class Service:
    """The daemon of one catalog. `run` returns once *stop* is set and everything is put down."""

    pipeline: Parts
    inspector: Inspector
    breaker: CircuitBreaker
    session: LoginSession
    orders: Orders
    stop: threading.Event
    hindrances: Hindrances
    reload: Reload
    _due: DebounceQueue[Unit] = field(default_factory=DebounceQueue)
    _hints: "queue.SimpleQueue[Unit]" = field(default_factory=queue.SimpleQueue)
    _costs_s: dict[Unit, float] = field(default_factory=dict)
    _redrive_at_s: float = 0.0
    _roots: Roots = field(init=False)
    _journal_failed_s: float = -math.inf
    _fatal: JournalDamagedError | LostThreadError | None = None
    _status: str = "watching"
    _status_at_s: float = 0.0
    _clock: Clock = field(default_factory=Clock)
    _removal: Scheduler = field(init=False)
    _workers: Workers = field(init=False)
    _supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        self.inspector.batch_former.hint, self.inspector.batch_former.hinder = (
            self._look_soon,
            self.hinder,
        )
        self._roots = Roots(
            self.inspector, self.hindrances, self._hints.put, self._look_soon, self.hinder
        )

        settings = self.pipeline.settings
        cleaner = UnitCleaner.of(self.pipeline, self.breaker, self.stop, self._hints.put)
        retention = Retention(cleaner, self.pipeline.server_time)
        self._removal = Scheduler(cleaner, retention, self.orders, settings, settings.drops)
        self._workers = Workers(
            self.pipeline, self.breaker, self.stop, self._hints.put, self._run_once
        )
        again: dict[str, Callable[[], None]] = {
            "removal": self._start_removal,
            "hasher": self._start_prehash,
            "inotify": lambda: None,  # the watcher replaces these two: it checks them every tick
            "hints": lambda: None,
        }
        again |= {name: partial(self._workers.start_one, name) for name in self._workers.names}
        self._supervisor = Supervisor(
            self.hindrances, self.pipeline.emit, again, self._give_up, self.stop
        )

    def run(self) -> None:
        """Watch until *stop* is set; work that is under way is put down where it is.

        Raises JournalDamagedError or LostThreadError: the process must begin anew.
        """
        try:
            self._run()
            if self._fatal:
                raise self._fatal
        except JournalDamagedError as error:
            self.pipeline.emit(ProblemFound(**error.sentence()))
            raise

    def _run(self) -> None:
        begin("main")
        self.pipeline.journal.void_claims()
        try:
            self._supervisor.start()
            self._run_once(self._removal.recover)
            self._run_once(self._roots.tend)
            self._workers.start()
            self._start_prehash()
            self._start_removal()
            systemd.notify("READY=1", "STATUS=watching")
            while not self.stop.is_set():
                self._run_once(self._tick)
        finally:
            systemd.notify("STATUS=reloading" if self.reload.is_due else "STOPPING=1")
            self.stop.set()
            self._roots.stop()
            if self.inspector.prehash:
                self.inspector.prehash.end(STOP_PREHASH_S)
            self._workers.end(STOP_S)
            self._removal.end(STOP_REMOVAL_S)
            self.hindrances.clear()

    def _start_prehash(self) -> None:
        if self.inspector.prehash:
            self.inspector.prehash.start(self._run_once)

    def _start_removal(self) -> None:
        self._removal.start(self._run_once)

    def _give_up(self, error: TroubleError) -> None:
        """Stop, to be started anew: a thread has ended that nothing can replace."""
        self._fatal = LostThreadError(error.what, error.why, error.next)
        self.stop.set()

    def _run_once(self, work: Callable[[], None]) -> None:
        """Do *work*; while the journal cannot be written it waits, and says so once."""
        try:
            work()
        except JournalDamagedError as error:  # no thread can do anything any more
            self._fatal = error
            self.stop.set()
        except (TransientError, OSError) as error:
            trouble = passing("cannot go on", error) if isinstance(error, OSError) else error
            if trouble is None:
                raise
            self._journal_failed_s = time.monotonic()
            self.hinder("the journal", trouble)
            self.stop.wait(AGAIN_S)

    def hinder(self, about: str, error: TroubleError | None) -> None:
        """Say what is in the way, once; None: nothing any more."""
        if self.hindrances.put(about, error) and error:
            self.pipeline.emit(ProblemFound(**error.sentence()))

    # ------------------------------------------------------------------ looking

    def _tick(self) -> None:
        """Do what is due and wait for the next hint, for a moment at the most."""
        self._supervisor.tend(self._in_short())
        if self.reload.asked.is_set():
            self._read_settings()
        self._mind_clock()
        self._roots.tend()
        self._ask_server()
        self._redrive()
        if time.monotonic() > self._journal_failed_s + 3 * AGAIN_S:  # nothing failed since
            self.hindrances.put("the journal", None)
        was_paused = self.pipeline.holds.pause is not None
        self._take_orders()
        if was_paused and self.pipeline.holds.pause is None:
            self._workers.wake()
        self._workers.wake_waiting()
        ends_s = time.monotonic() + TICK_S
        while not self.stop.is_set() and (left_s := ends_s - time.monotonic()) > 0:
            beat()
            now = datetime.now(UTC)
            if (unit := self._due.take(now)) is not None:
                self._look(unit)
                self._workers.wake()
                continue
            next_at = self._due.next_at()
            if next_at is not None:
                left_s = min(left_s, max(0.01, (next_at - now).total_seconds()))
            try:
                self._hint(self._hints.get(timeout=left_s))
            except queue.Empty:
                continue

    def _in_short(self) -> str:
        """Return how things stand, as one line for `systemctl status`."""
        if time.monotonic() > self._status_at_s + STATUS_S:
            self._status_at_s = time.monotonic()
            self._status = in_short(self.pipeline.journal.execution_counts())
        error = self.breaker.error
        return f"{error.what}: {error.why}; {self._status}" if error else self._status

    def _read_settings(self) -> None:
        """Stop, to begin anew with other settings, where they can be used."""
        self.hindrances.put("the settings", self.reload.take(self.pipeline.emit))
        if self.reload.is_due:
            systemd.notify_reload()
            self.stop.set()

    def _mind_clock(self) -> None:
        """Look at everything anew once the clock was set: times from before mean nothing."""
        if step_s := self._clock.step_s():
            self.pipeline.emit(ClockSet(seconds=step_s))
            self.inspector.forget()
            self._due = DebounceQueue()
            self._roots.scan_all()

    def _ask_server(self) -> None:
        """See whether the server can be worked with; once it can again, look at everything."""
        was_closed = self.breaker.error is not None
        if self.breaker.allows_work():
            if was_closed:
                self._roots.scan_all()
            try:
                self.hinder("the session", self.session.refresh())
            except (TransientError, CredentialError) as error:
                self.breaker.trip(error)
        self.hindrances.put("the server", self.breaker.error)

    def _redrive(self) -> None:
        """Try again what was refused for a cause that is another by now; sweep up."""
        now_s = time.monotonic()
        if self.breaker.error is not None or now_s < self._redrive_at_s:
            return
        self._redrive_at_s = now_s + REDRIVE_S
        try:
            moved = self.pipeline.fingerprint.reopen_changed(
                self.pipeline.journal, self.pipeline.server
            )
            self.pipeline.attempts.sweep()
        except (ServerAwayError, CredentialError) as error:
            self.breaker.trip(error)
        except (ServerBusyError, RefusedError):
            self.breaker.probe_soon()
        else:
            for record in moved:
                self._look_soon(self.pipeline.settings.unit_of(record))

    def _take_orders(self) -> None:
        """Do what a person asks for."""
        trouble: TroubleError | None
        try:
            for record in apply_orders(self.orders, self.pipeline):
                self._look_soon(self.pipeline.settings.unit_of(record))
            trouble = self.orders.trouble()
        except SettingsError as error:
            trouble = error
        self.hinder("the orders", trouble)

    def _look_soon(self, unit: Unit) -> None:
        self._due.hint(unit, _in(0))

    def _hint(self, unit: Unit) -> None:
        self._due.hint(unit, _in(HINT_S + LOOK_SHARE * self._costs_s.get(unit, 0.0)))

    def _look_undisturbed(self, unit: Unit) -> datetime | None:
        """Look at one directory, or come back soon where files of it are being removed."""
        with self._removal.cleaner.turns.take(unit) as is_free:
            if is_free:
                return self.inspector.look(unit)
        self._due.hint(unit, _in(TURN_S))
        return None

    def _look(self, unit: Unit) -> None:
        """Look at one directory; whatever goes wrong concerns no other."""
        self._mind_clock()
        start_s = time.monotonic()
        trouble: TroubleError | None = None
        try:
            again_at = self._look_undisturbed(unit)
        except (ServerAwayError, CredentialError) as error:
            self.breaker.trip(error)
            again_at = _in(AGAIN_S)
        except (TransientError, RefusedError) as error:
            if error is not self.breaker.error:
                trouble = error
            if isinstance(trouble, RefusedError | ServerBusyError):
                self.breaker.probe_soon()
            again_at = _in(AGAIN_S)
        except JournalDamagedError:
            raise
        except Exception as error:  # noqa: BLE001  # a bug in one directory must not stop the others
            what = f"look at {unit.label}"
            trouble = passing(f"cannot {what}", error)
            if trouble is None:
                report_crash(self.pipeline.emit, what)
            again_at = _in(AGAIN_S if trouble else 60.0)
        root = unit.root
        # Several batches have the same root.
        about = f"{root}: {unit.name}" if root == unit.prefix else str(root)
        if self.hindrances.put(about, trouble) and trouble:
            self.pipeline.emit(
                NoticeAdded(execution=unit.name, about="the directory", why=str(trouble))
            )
        self._roots.follow(unit, filling=again_at is not None)
        self._costs_s[unit] = time.monotonic() - start_s
        if again_at is not None:
            self._due.hint(unit, again_at)
        else:
            self._costs_s.pop(unit, None)


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
