"""The uploader workers: threads that make attempts at the units that are ready."""

import queue
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.events import Emit
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.states import ExecutionState, ExecutionTrigger
from deriva_watch.daemon.hangs import LEFT_BEHIND, UPLOADER, Hangs
from deriva_watch.edges.journal import Journal
from deriva_watch.liveness import begin, end, waiting
from deriva_watch.pipeline.attempt import Attempts
from deriva_watch.pipeline.attempt_end import SPEC_S
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.crash_report import report_crash
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.journal_guard import JournalGuard
from deriva_watch.settings.model import Settings
from deriva_watch.watch.look_queue import Looks

WORKERS: Final = 6  # units at a time: the requests of some fill the waits of others
IDLE_S: Final = 10.0  # how often a worker looks for work by itself
DUE_S: Final = 2.0  # the same for units that wait; the times of those that we saw fail are known
AGAIN_S: Final = 5.0  # after a bug of ours


@dataclass(slots=True)
class Workers:
    """Uploads ready executions, one at a time each, until *stop* is set.

    Attributes:
        settings: For the longest wait between two attempts.
        journal: Has the units that are ready.
        attempts: Makes one attempt.
        holds: Whether a person has paused all work.
        emit: Where bugs are reported.
        breaker: While it is tripped no attempt is made.
        stop: Ends the work.
        looks: Gets a unit that changed during its upload.
        guard: Runs each piece of work, and waits where the journal cannot be written.
        hangs: Says of which roots nothing is to be uploaded now.
    """

    settings: Settings
    journal: Journal
    attempts: Attempts
    holds: HoldCache
    emit: Emit
    breaker: CircuitBreaker
    stop: threading.Event
    looks: Looks
    guard: JournalGuard
    hangs: Hangs
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: "count[int]" = field(default_factory=lambda: count(WORKERS))
    _threads: dict[str, threading.Thread] = field(default_factory=dict)
    _held: dict[str, list[ExecutionRecord]] = field(
        default_factory=lambda: {f"{UPLOADER}{number}": [] for number in range(WORKERS)}
    )
    _ready: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)  # wakes one
    _due_s: float = 0.0  # when to ask the journal what is due

    @property
    def names(self) -> tuple[str, ...]:
        """The workers."""
        return tuple(self._held)

    def start(self) -> None:
        """Start all workers."""
        for name in self.names:
            self.start_one(name)
        self.wake()

    def start_one(self, name: str) -> None:
        """Start a worker, for the first time or because its thread has ended."""
        thread = threading.Thread(target=self._work, args=(name,), name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def end(self, within_s: float) -> None:
        """Wait until all threads end that can, for *within_s* at most; *stop* must be set."""
        self.wake()
        ends_s, stuck = time.monotonic() + within_s, self._stuck()
        for name, thread in list(self._threads.items()):
            if name not in stuck:
                thread.join(max(0.0, ends_s - time.monotonic()))

    def prefixes(self) -> list[str]:
        """Return the root of each unit that is being uploaded."""
        return [record.prefix for held in list(self._held.values()) for record in held[-1:]]

    def replace_stuck(self) -> None:
        """Start a worker in the place of each whose unit is in a root that may hang."""
        while len(self._held) < WORKERS + len(self._stuck()):
            name = f"{UPLOADER}{next(self._numbers)}"
            self._held[name] = []
            self.start_one(name)

    def _stuck(self) -> list[str]:
        """Return the workers whose unit is in a root that may hang."""
        silent, units = self.hangs.silent, list(self._held.items())
        return [name for name, held in units if held and held[-1].prefix in silent]

    def _is_spare(self, name: str) -> bool:
        """Return whether a worker is one too many, and let it go."""
        with self._lock:
            is_spare = len(self._held) > WORKERS + len(self._stuck())
            if is_spare:
                del self._held[name], self._threads[name]
        return is_spare

    def wake(self) -> None:
        """Let a worker look for work; all at once would each ask the journal for the same unit."""
        if self._ready.empty():
            self._ready.put(None)

    def wake_waiting(self) -> None:
        """Move executions that wait to `ready` once their next attempt is due."""
        if self.breaker.error is not None:
            self._due_s = 0.0  # at once when work may continue
            return
        if time.monotonic() < self._due_s:
            return
        was_closed = self._due_s == 0.0
        self._due_s = time.monotonic() + DUE_S
        now = datetime.now(UTC)
        latest = now + timedelta(seconds=self.settings.retry.max_s + SPEC_S)
        moves = [
            MoveExecution(record.id, ExecutionTrigger.DUE)
            for record in self.journal.due(now, latest)
            if record.server == self.settings.server.name
        ]
        if moves:
            self.journal.commit(moves)
        if moves or was_closed:
            self.wake()

    def _work(self, name: str) -> None:
        begin()
        held = self._held[name]  # an earlier thread of the name may have left some
        while not self.stop.is_set() and not self._is_spare(name):
            try:
                self.guard.run(lambda: self._work_once(held))
            except Exception:  # noqa: BLE001  # a bug in one execution must not stop the others
                report_crash(self.emit, "an uploader")
                self.stop.wait(AGAIN_S)
        self.wake()  # the others have to see the stop, too
        end()

    def _work_once(self, held: list[ExecutionRecord]) -> None:
        """Make one attempt; the execution is in *held* until its result is in the journal."""
        while held:
            self._give_back(held[-1])
            held.pop()
        with waiting(IDLE_S), suppress(queue.Empty):
            self._ready.get(timeout=IDLE_S)
        record = None if self.stop.is_set() else self._claim(held)
        if record is None:
            return
        self.wake()  # there may be more, for another one
        outcome = self.attempts.process(record)
        self.wake()
        held.pop()
        if outcome.error:
            self.breaker.trip(outcome.error)
        if outcome.record.next_at:
            wait_s = (outcome.record.next_at - datetime.now(UTC)).total_seconds()
            self._due_s = min(self._due_s, time.monotonic() + wait_s)
        if outcome.record.state is ExecutionState.FILLING:
            self.looks.hint(self.settings.unit_of(record))

    def _claim(self, held: list[ExecutionRecord]) -> ExecutionRecord | None:
        """Claim an execution, which is in *held* then, too."""
        if self.breaker.error is not None or self.holds.pause:
            return None
        # One at a time while something may hang, so that no more are left behind there than may be.
        with self._lock if self.hangs.silent else nullcontext():
            at_work = self.prefixes()
            full = {each for each in self.hangs.silent if at_work.count(each) >= LEFT_BEHIND}
            record = self.journal.claim(self.settings.server.name, self.hangs.closed | full)
            if record:
                held.append(record)
        return record

    def _give_back(self, record: ExecutionRecord) -> None:
        """Release an execution whose result could not be written into the journal."""
        if self.journal.execution(record.id).state is ExecutionState.UPLOADING:
            self.journal.commit([MoveExecution(record.id, ExecutionTrigger.INTERRUPTED)])
