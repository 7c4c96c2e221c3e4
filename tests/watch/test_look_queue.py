"""Who is looked at next."""

import os
import time

import pytest

from deriva_watch.core.unit import Unit
from deriva_watch.watch.look_queue import LookQueue
from running import wait_until

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")


def made(prefix, name, owner):
    unit = Unit(prefix, name)
    unit.root.mkdir(parents=True)
    os.chown(unit.root, owner, owner)
    return unit


def all_of(queue):
    """Return the units in the order in which they are looked at."""
    found = []
    while unit := queue.take(0):
        found.append(unit.name)
    return found


@only_root
def test_owners_take_turns_so_that_many_directories_keep_nobody_else_waiting(tmp_path):
    queue = LookQueue()
    for number in range(5):
        queue.soon(made(tmp_path, f"A{number}", 12001))
    for name in ("B0", "B1"):
        queue.soon(made(tmp_path, name, 12002))

    assert all_of(queue) == ["A0", "B0", "A1", "B1", "A2", "A3", "A4"]


def test_units_that_are_gone_are_looked_at_too(tmp_path):
    queue = LookQueue()
    queue.soon(Unit(tmp_path, "1-ABC"))
    queue.soon(Unit(tmp_path, "a\0b"))

    assert all_of(queue) == ["1-ABC", "a\0b"]


def test_a_unit_is_in_the_queue_once_at_its_earliest_time(tmp_path):
    queue, unit = LookQueue(), Unit(tmp_path, "1-ABC")
    queue.soon(unit, 60)
    assert queue.take(0) is None
    queue.soon(unit)
    queue.soon(unit, 60)

    assert all_of(queue) == ["1-ABC"]


def test_nothing_is_due_after_it_was_cleared(tmp_path):
    queue = LookQueue()
    queue.soon(Unit(tmp_path, "1-ABC"))
    queue.clear()

    assert queue.take(0) is None


def test_a_hint_ends_the_wait_and_its_unit_comes_soon(tmp_path):
    queue, begun_s = LookQueue(), time.monotonic()
    queue.hint(Unit(tmp_path, "1-ABC"))

    assert queue.take(60) is None
    assert wait_until(lambda: queue.take(60)).name == "1-ABC"
    assert time.monotonic() - begun_s < 30
