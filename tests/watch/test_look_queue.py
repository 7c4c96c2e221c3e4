"""Who is looked at next."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.unit import Unit
from deriva_watch.watch.look_queue import HINT_S, LookQueue, Looks
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
    while unit := queue.take():
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
    assert queue.take() is None
    queue.soon(unit)
    queue.soon(unit, 60)

    assert all_of(queue) == ["1-ABC"]


def test_nothing_is_due_after_it_was_cleared(tmp_path):
    queue = LookQueue()
    queue.soon(Unit(tmp_path, "1-ABC"))
    queue.clear()

    assert queue.take() is None
    assert queue.next_at() is None


def test_a_hint_wakes_whoever_waits_and_its_unit_comes_soon(tmp_path):
    woken = []
    queue = LookQueue(lambda: woken.append(queue.next_at()))
    queue.hint(Unit(tmp_path, "1-ABC"))

    assert woken[0] <= datetime.now(UTC)
    assert queue.take() is None
    assert datetime.now(UTC) < queue.next_at() <= datetime.now(UTC) + timedelta(seconds=HINT_S)
    assert wait_until(queue.take).name == "1-ABC"
    assert queue.next_at() is None


def test_a_thousand_hints_of_a_unit_are_one_look(tmp_path):
    queue = LookQueue()
    for _ in range(1000):
        queue.hint(Unit(tmp_path, "1-ABC"))

    assert wait_until(lambda: all_of(queue)) == ["1-ABC"]


def test_units_of_a_root_wait_in_its_own_queue(tmp_path):
    looks = Looks(lambda: None)
    here = looks.add(tmp_path / "here")

    for name in ("here", "elsewhere"):
        looks.soon(Unit(tmp_path / name, "1-ABC"))

    assert here.take() == Unit(tmp_path / "here", "1-ABC")
    assert looks.elsewhere.take() == Unit(tmp_path / "elsewhere", "1-ABC")
