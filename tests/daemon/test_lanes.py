"""A lane that hangs gets nothing new, and holds up no other."""

import os
import threading
import time
from contextlib import contextmanager

import pytest

from deriva_watch import liveness
from deriva_watch.daemon import lanes as module
from deriva_watch.daemon.hangs import Hangs
from deriva_watch.daemon.lanes import Lanes
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.host.problems import read as read_problems
from deriva_watch.pipeline.journal_guard import JournalGuard
from running import accused, wait_until


class Task:
    """A task that is due again at once, until it was done often enough."""

    def __init__(self, about, often=10**9, work=lambda: None):
        self.about, self.left, self.work, self.turns = about, often, work, 0

    def due_s(self):
        """Return when it is due."""
        return 0.0 if self.left else float("inf")

    def turn(self):
        """Do it once."""
        self.left -= 1
        self.turns += 1
        self.work()


class Loop:
    """The loop of a daemon that has only lanes."""

    def __init__(self, folder, *tasks):
        self.events, self.stop, self.wake = [], threading.Event(), threading.Event()
        self.folder, self.problems = folder, Problems(folder, self.events.append)
        self.hangs = Hangs("the server", self.problems, self.events.append)
        guard = JournalGuard(self.problems, self.stop)
        self.lanes = Lanes(guard, self.events.append, self.stop, self.wake.set)
        for task in tasks:
            self.lanes.add(task)

    @contextmanager
    def running(self):
        """Run it beside the test."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self.stop.set()
            thread.join(30)
            self.lanes.end(30)

    def _run(self):
        while not self.stop.is_set():
            self.hangs.tend()
            self.wake.clear()
            self.lanes.tend()
            self.wake.wait(0.01)

    def told(self):
        """Return the names and subjects of the events."""
        return [(each.name, getattr(each, "about", None)) for each in self.events]

    def shown(self):
        """Return what other processes read of the problems."""
        return [each["about"] for each in read_problems(self.folder, os.getpid())]


@pytest.fixture
def pipe(tmp_path):
    """Return a pipe that nobody writes to: opening it hangs, as at a file server that is away."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def answer(pipe):
    """Let all who wait for the pipe go on."""
    os.close(os.open(pipe, os.O_RDWR))


@pytest.fixture(autouse=True)
def short_deadline(monkeypatch):
    monkeypatch.setattr(liveness, "BLOCK_S", 0.1)


def test_a_lane_that_hangs_gets_nothing_new_and_the_others_go_on(tmp_path, pipe):
    hung, well = Task("/hung", work=pipe.read_bytes), Task("/well")
    with Loop(tmp_path, hung, well).running() as loop:
        wait_until(lambda: ("call.hung", "/hung") in loop.told())
        wait_until(lambda: loop.shown() == ["/hung: answers"])
        before = well.turns
        wait_until(lambda: well.turns > before + 100)
        assert hung.turns == 1
        assert not accused()

        hung.left = 0
        answer(pipe)
        wait_until(lambda: ("call.returned", "/hung") in loop.told())
        wait_until(lambda: not loop.shown())
    assert loop.told() == [("call.hung", "/hung"), ("call.returned", "/hung")]


def test_more_lanes_than_threads_may_hang(tmp_path, pipe):
    hung = [Task(f"/hung/{n}", 1, work=pipe.read_bytes) for n in range(module.AT_ONCE)]
    well = Task("/well")
    with Loop(tmp_path, *hung, well).running() as loop:
        wait_until(lambda: len(loop.told()) == len(hung))
        before = well.turns
        wait_until(lambda: well.turns > before + 10)
        wait_until(lambda: (answer(pipe), len(loop.told()) == 2 * len(hung))[1])


def test_lanes_that_are_well_share_a_few_threads(tmp_path):
    served = set()
    work = lambda: (served.add(threading.current_thread()), time.sleep(0.001))  # noqa: E731
    many = [Task(f"/{n}", 3, work) for n in range(100)]
    with Loop(tmp_path, *many).running():
        wait_until(lambda: not any(task.left for task in many))
    assert len(served) < len(many) / 4


def test_lanes_that_always_have_something_to_do_take_turns(tmp_path):
    busy = [Task(f"/{n}", work=lambda: time.sleep(0.001)) for n in range(3 * module.AT_ONCE)]
    with Loop(tmp_path, *busy).running():
        wait_until(lambda: min(task.turns for task in busy) > 10)


def test_a_bug_in_a_lane_is_reported_and_the_others_go_on(tmp_path):
    ill, well = Task("/ill", work=lambda: 1 / 0), Task("/well")
    with Loop(tmp_path, ill, well).running() as loop:
        wait_until(lambda: loop.told() == [("daemon.crashed", None)])
        before = well.turns
        wait_until(lambda: well.turns > before + 10)
    assert ill.turns == 1


def test_the_end_does_not_wait_for_a_lane_that_hangs(tmp_path, pipe):
    hung = Task("/hung", 1, work=pipe.read_bytes)
    with Loop(tmp_path, hung).running() as loop:
        wait_until(lambda: ("call.hung", "/hung") in loop.told())
        loop.stop.set()
        began_s = time.monotonic()
        loop.lanes.end(30)
        assert time.monotonic() - began_s < 10
        answer(pipe)
        wait_until(lambda: not liveness.hangs())


def test_the_end_waits_for_a_turn_that_makes_progress(tmp_path):
    begun, done = threading.Event(), []

    def work():
        begun.set()
        for _ in range(10):
            time.sleep(0.05)
            liveness.beat()
        done.append(True)

    with Loop(tmp_path, Task("/well", 1, work)).running() as loop:
        begun.wait(30)
        loop.stop.set()
        loop.lanes.end(30)
        assert done
