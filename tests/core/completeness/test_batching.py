"""Which files of a drop folder form a batch, without a clock."""

from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.completeness.batching import (
    Batching,
    arrivals,
    batch,
    batch_name,
    is_another,
    part,
    quiet,
    settle,
)
from deriva_watch.core.completeness.observation import (
    Entry,
    HolderMethod,
    Holders,
    Kind,
    Observation,
)
from deriva_watch.core.completeness.policy import CompletionPolicy

START = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1024**3
POLICY = CompletionPolicy(quiet_s=30, quiet_max_s=600, recheck_s=20)


def at(seconds):
    return START + timedelta(seconds=seconds)


class Folder:
    """A drop folder that is looked at now and then."""

    def __init__(self, batch_s=300.0, method=HolderMethod.PROC):
        self.batch_s, self.method = batch_s, method
        self.found, self.entries, self.taken, self.open = {}, {}, set(), set()

    def write(self, *paths, size_bytes=1, mtime_ns=0, **more):
        """Let there be files, or let them change."""
        for path in paths:
            self.entries[path] = Entry(path, size_bytes, mtime_ns, 1, len(path), **more)

    def look(self, seconds):
        """Return what forms a batch *seconds* after the start, and when to look again."""
        seen = Observation("/drop", self.entries, at(seconds), {})
        self.found = arrivals(self.found, seen, self.taken, POLICY)
        asked = Holders(frozenset(self.open), self.method)
        if quiet(self.found, seen.looked_at):
            self.found = settle(self.found, asked, seen.looked_at)
        closed, again = batch(self.found, self.batch_s, seen.looked_at, POLICY.recheck_s)
        for path in closed:
            del self.found[path]
        self.taken |= set(closed)
        return closed, again and (again - START).total_seconds()


def test_a_batch_is_closed_some_time_after_its_first_file_settled():
    folder = Folder()
    folder.write("a")
    assert folder.look(0) == ([], 30)
    assert folder.look(30) == ([], 330)
    folder.write("b")
    assert folder.look(290) == ([], 320)
    folder.write("late")
    assert folder.look(320) == ([], 330)

    assert folder.look(330) == (["a", "b"], 350)
    assert folder.look(350) == ([], 650)
    assert folder.look(650) == (["late"], None)


def test_without_executions_files_form_a_batch_as_soon_as_they_settle():
    folder = Folder(batch_s=0)
    folder.write("a", "b")
    folder.look(0)

    assert folder.look(30) == (["a", "b"], None)


def test_a_file_that_changes_settles_again_and_holds_up_no_other():
    folder = Folder(batch_s=0)
    folder.write("a", "grows")
    folder.look(0)
    folder.write("grows", size_bytes=2)

    assert folder.look(30) == (["a"], 60)
    folder.write("grows", size_bytes=3)
    assert folder.look(60) == ([], 90)
    assert folder.look(90) == (["grows"], None)


def test_a_file_that_somebody_has_open_holds_up_no_other():
    folder = Folder(batch_s=0)
    folder.write("a", "open")
    folder.open = {"open"}
    folder.look(0)

    assert folder.look(30) == (["a"], 50)
    folder.open = set()
    assert folder.look(50) == (["open"], None)


def test_a_file_that_is_opened_again_before_its_batch_is_closed_is_not_in_it():
    folder = Folder()
    folder.write("a", "b")
    folder.look(0)
    folder.look(30)
    folder.open = {"b"}

    assert folder.look(330) == (["a"], 350)


def test_a_large_file_and_one_that_is_partial_by_its_name_wait_for_longer():
    folder = Folder(batch_s=0)
    folder.write("large", size_bytes=2 * GIB)
    folder.write("a.part")
    folder.look(0)

    assert folder.look(89) == ([], 90)
    assert folder.look(90) == (["large"], 600)
    assert folder.look(600) == (["a.part"], None)


def test_where_it_cannot_be_seen_who_has_files_open_they_settle_later():
    folder = Folder(batch_s=0, method=HolderMethod.UNKNOWN)
    folder.write("a")
    folder.look(0)

    assert folder.look(30) == ([], 50)
    assert folder.look(120) == (["a"], None)


def test_files_of_a_batch_and_what_is_ignored_and_markers_arrive_no_more():
    folder = Folder(batch_s=0)
    folder.write("mine", "CopyComplete.txt")
    folder.write(".DS_Store", kind=Kind.IGNORED)
    folder.taken = {"mine"}

    assert folder.look(0) == ([], None)
    assert folder.look(30) == ([], None)


def test_what_cannot_be_uploaded_is_in_a_batch_so_that_it_is_told():
    folder = Folder(batch_s=0)
    folder.write("pipe", kind=Kind.UNUSABLE, problem="it is a named pipe")
    folder.look(0)

    assert folder.look(30) == (["pipe"], None)


def test_a_file_that_vanished_before_its_batch_was_closed_is_not_in_it():
    folder = Folder()
    folder.write("a", "b")
    folder.look(0)
    folder.look(30)
    del folder.entries["b"]

    assert folder.look(330) == (["a"], None)


def test_a_clock_that_was_set_back_starts_over():
    folder = Folder(batch_s=0)
    folder.write("a")
    folder.look(1000)

    assert folder.look(100) == ([], 130)
    assert folder.look(130) == (["a"], None)


def test_nothing_waits_for_nothing():
    assert batch({}, 300, START, 20) == Batching([], None)


def look(*paths, unreadable=()):
    entries = {path: Entry(path, 1, 0, 1, 1) for path in paths}
    return Observation("/drop", entries, START, dict.fromkeys(unreadable, "permission denied"))


def test_a_batch_is_another_once_a_file_of_it_is_and_not_when_others_come():
    digest = part(look("a/x", "b"), ["a/x", "b"]).digest()

    assert not is_another(look("a/x", "b", "c"), ["a/x", "b"], digest)
    assert is_another(look("b"), ["a/x", "b"], digest)


@pytest.mark.parametrize("folder", [".", "a"])
def test_what_cannot_be_listed_is_not_lost(folder):
    digest = part(look("a/x"), ["a/x"]).digest()

    assert not is_another(look(unreadable=[folder]), ["a/x"], digest)
    assert is_another(look(unreadable=["ab"]), ["a/x"], digest)


def test_no_two_batches_have_one_name():
    name = batch_name(START, set())

    assert name == "batch-20260101T000000Z"
    assert batch_name(START, {name}) == f"{name}-2"
    assert batch_name(START, {name, f"{name}-2"}) == f"{name}-3"
