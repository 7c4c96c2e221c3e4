"""Workers whose units are in a root that hangs are replaced, as long as it is not closed."""

import os
import threading
from contextlib import contextmanager

import pytest

from deriva_watch import liveness
from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.daemon.hangs import LEFT_BEHIND, Hangs
from deriva_watch.daemon.workers import WORKERS, Workers
from deriva_watch.edges.host.problems import Problems
from deriva_watch.pipeline.attempt import Outcome
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.pipeline.journal_guard import JournalGuard
from deriva_watch.settings.model import Settings
from deriva_watch.watch.look_queue import Looks
from looking import laboratory
from running import accused, wait_until

HUNG, WELL = "/hung", "/well"


class PipeAttempts:
    """Attempts that read a pipe to which nobody writes, where the unit is in the hung root."""

    def __init__(self, journal, pipe):
        self.journal, self.pipe, self.done = journal, pipe, []

    def process(self, record):
        """Make an attempt."""
        if record.prefix == HUNG:
            with liveness.depending_on(HUNG):
                self.pipe.read_bytes()
        self.journal.commit([MoveExecution(record.id, ExecutionTrigger.FINISHED)])
        self.done.append(record.prefix)
        return Outcome(self.journal.execution(record.id))


class Scene:
    """The workers of a daemon, and the part of its loop that concerns them."""

    def __init__(self, lab, folder):
        self.lab, self.events, self.stop = lab, [], threading.Event()
        journal, emit = lab.journal, self.events.append
        problems = Problems(folder, emit)
        settings = Settings(server={"host": "data.example.org", "catalog": "1"})
        self.pipe = folder / "pipe"
        os.mkfifo(self.pipe)
        self.attempts, self.hangs = PipeAttempts(journal, self.pipe), Hangs("-", problems, emit)
        self.workers = Workers(
            settings,
            journal,
            self.attempts,
            HoldCache(journal),
            emit,
            CircuitBreaker("data.example.org", emit, lambda: None, lambda: False, 1.0),
            self.stop,
            Looks(lambda: None),
            JournalGuard(problems, self.stop),
            self.hangs,
        )

    def make(self, prefix, count=1):
        """Make units that are ready."""
        for number in range(count):
            name = f"1-{prefix[1]}{number}{len(self.attempts.done)}"
            new = self.lab.journal.open_execution("data.example.org/1", prefix, name)
            self.lab.journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
        self.workers.wake()

    def tend(self):
        """Do what the loop does; return how many workers are stuck."""
        self.hangs.tend(self.workers.prefixes())
        self.workers.replace_stuck()
        self.workers.wake()
        return self.workers.prefixes().count(HUNG)

    @contextmanager
    def running(self):
        """Let the workers work; the pipe ends at the end."""
        self.workers.start()
        try:
            yield
        finally:
            self.stop.set()
            self.let_go()
            self.workers.end(30)

    def let_go(self):
        """Let the root answer, for as long as somebody waits for it."""

        def all_answered():
            if not self.workers.prefixes().count(HUNG):
                return True
            fd = os.open(self.pipe, os.O_RDWR)
            os.close(fd)
            return False

        wait_until(all_answered)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setattr(liveness, "METADATA_S", 0.1)
    with laboratory(tmp_path) as lab:
        yield Scene(lab, tmp_path)


def test_units_of_other_roots_are_uploaded_while_all_workers_hang(scene):
    with scene.running():
        scene.make(HUNG, WORKERS)
        wait_until(lambda: scene.tend() == WORKERS)
        scene.make(WELL, 3)
        wait_until(lambda: (scene.tend(), scene.attempts.done == [WELL] * 3)[1])


def test_a_root_in_which_so_many_hang_gets_no_more(scene):
    with scene.running():
        scene.make(HUNG, 2 * LEFT_BEHIND)
        wait_until(lambda: (scene.tend(), scene.hangs.closed)[1] == {HUNG})
        scene.make(WELL, 3)
        wait_until(lambda: (scene.tend(), len(scene.attempts.done) == 3)[1])
        assert scene.tend() <= LEFT_BEHIND + WORKERS - 1
        assert scene.lab.journal.execution_counts()["ready"] > 0


def test_the_workers_that_were_added_end_once_the_root_answers(scene):
    with scene.running():
        scene.make(HUNG, WORKERS)
        wait_until(lambda: scene.tend() == WORKERS)
        wait_until(lambda: (scene.tend(), len(scene.workers.names) > WORKERS)[1])
        scene.let_go()
        wait_until(lambda: (scene.tend(), len(scene.workers.names) == WORKERS)[1])
    assert not accused()


def test_the_end_does_not_wait_for_a_worker_that_hangs(scene):
    with scene.running():
        scene.make(HUNG)
        wait_until(lambda: (scene.tend(), scene.hangs.hanging)[1])
        scene.stop.set()
        scene.workers.end(3600)
        assert scene.tend() == 1
