"""Units share threads in turn, and small work never waits for large work."""

import threading
from concurrent.futures import wait

import pytest

from deriva_watch import liveness
from deriva_watch.core.errors import InterruptedWorkError
from deriva_watch.engine.fair_pool import FairPool
from running import wait_until


@pytest.fixture
def gate():
    """Holds tasks until the test opens it."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def one():
    pool = FairPool("test", 1)
    yield pool
    pool.close()


def test_a_result_and_an_error_reach_the_caller(one):
    right = one.submit("a unit", lambda: 6 * 7, is_small=True)
    wrong = one.submit("a unit", lambda: {}["none"], is_small=True)

    assert right.result(10) == 42
    assert isinstance(wrong.exception(10), KeyError)


def test_owners_take_turns_and_each_keeps_its_order(one, gate):
    done = []
    blocked = one.submit("first", gate.wait, is_small=False)
    futures = [
        one.submit(owner, lambda name=f"{owner}{number}": done.append(name), is_small=False)
        for owner, count in (("a", 4), ("b", 2), ("c", 1))
        for number in range(count)
    ]
    gate.set()
    wait([blocked, *futures], 10)

    assert done == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_small_work_waits_for_no_large_work(gate):
    pool = FairPool("test", 8)
    pool.resize(2)
    large = [pool.submit("large", gate.wait, is_small=False) for _ in range(10)]

    small = pool.submit("small", lambda: "done", is_small=True)

    assert small.result(10) == "done"
    assert not any(future.done() for future in large)
    gate.set()
    wait(large, 10)
    pool.close()


def test_small_work_does_not_starve_large_work(one, gate):
    done = []
    blocked = one.submit("first", gate.wait, is_small=True)
    small = [one.submit("s", lambda: done.append("small"), is_small=True) for _ in range(6)]
    large = [one.submit("l", lambda: done.append("large"), is_small=False) for _ in range(2)]
    gate.set()
    wait([blocked, *small, *large], 10)

    assert done.index("large") <= 1
    assert len(done) - 1 - done[::-1].index("large") <= 3


def test_after_a_hang_the_tasks_that_have_waited_are_done(gate, monkeypatch):
    """The threads that hung go on; those that took their place end, and strand nothing."""
    monkeypatch.setattr(liveness, "SLOW_S", 0.05)
    pool, end = FairPool("stranding", 2), threading.Event()

    def hang():
        with liveness.depending_on("/hung", 0.0):
            gate.wait()
        end.wait()

    def slow():
        return sum(each.thread.startswith("stranding_") for each in liveness.slow())

    hung = [pool.submit("a", hang, is_small=False) for _ in range(2)]
    rest = [pool.submit("a", lambda: None, is_small=False) for _ in range(20)]
    wait_until(lambda: slow() == 2)
    pool.replace_hung()
    gate.set()
    wait_until(lambda: slow() == 0)
    pool.replace_hung()
    wait_until(lambda: len(pool._for_any._waiters) == 2)  # they found all others busy
    end.set()

    assert not wait([*hung, *rest], 10).not_done
    pool.close()


def test_a_single_thread_does_one_thing_at_a_time(one, gate):
    one.submit("a", gate.wait, is_small=False)
    small = one.submit("b", lambda: None, is_small=True)

    assert not small.done()
    gate.set()
    small.result(10)


def test_threads_that_hang_at_a_root_are_replaced_until_they_go_on(gate, monkeypatch):
    monkeypatch.setattr(liveness, "SLOW_S", 0.1)
    pool, served = FairPool("hanging", 2), set()

    def hang():
        with liveness.depending_on("/hung", 0.0):
            gate.wait()

    hung = [pool.submit("a", hang, is_small=False) for _ in range(2)]
    wait_until(lambda: sum(h.thread.startswith("hanging_") for h in liveness.slow()) == 2)
    more = pool.submit("a", hang, is_small=False)
    well = [pool.submit("b", lambda: "done", is_small=False) for _ in range(2)]
    pool.replace_hung()
    assert [future.result(10) for future in well] == ["done"] * 2
    assert not more.running()

    gate.set()
    wait_until(lambda: (pool.replace_hung(), more.done())[1])
    wait(hung, 10)

    def few_serve():
        served.clear()
        work = lambda: served.add(threading.current_thread())  # noqa: E731
        wait([pool.submit("b", work, is_small=False) for _ in range(50)], 10)
        alive = {each for each in threading.enumerate() if each.name.startswith("hanging_")}
        return len(alive) == 2

    wait_until(few_serve)
    pool.close()


def test_a_closed_pool_begins_nothing_and_says_so_to_everybody_who_waits(gate):
    pool, started = FairPool("test", 1), threading.Event()
    running = pool.submit("a", lambda: (started.set(), gate.wait()), is_small=False)
    waiting = pool.submit("a", lambda: "never", is_small=False)
    started.wait(10)
    pool.close()

    assert isinstance(waiting.exception(10), InterruptedWorkError)
    late = pool.submit("a", lambda: "never", is_small=True)
    assert isinstance(late.exception(10), InterruptedWorkError)
    gate.set()
    running.result(10)


def test_a_pool_uses_as_many_threads_as_it_was_told(gate):
    pool, begun = FairPool("test", 8), []
    pool.resize(3)
    futures = [
        pool.submit("a", lambda: (begun.append(1), gate.wait()), is_small=False) for _ in range(8)
    ]
    wait_until(lambda: len(begun) == 3)
    assert pool.has_waiting
    pool.resize(5)
    wait_until(lambda: len(begun) == 5)
    pool.resize(99)
    wait_until(lambda: len(begun) == 8)

    assert not pool.has_waiting
    gate.set()
    wait(futures, 10)
    pool.close()
