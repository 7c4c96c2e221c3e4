"""What is deleted of an old history, and what stays."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger
from deriva_watch.edges.journal import Journal, pruning
from deriva_watch.edges.journal.database import sqlite
from looking import clock_at
from running import wait_until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEEP = timedelta(days=90)
WAY = (FileTrigger.HASHED, FileTrigger.STORED, FileTrigger.RECORDED, FileTrigger.LINKED)
SERVER = "example.org/1"


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Steps follow each other at once, and go through two lines each."""
    monkeypatch.setattr(pruning, "FIRST_S", 0.0)
    monkeypatch.setattr(pruning, "STEP_S", 0.001)
    monkeypatch.setattr(pruning, "PASS_S", 0.01)
    monkeypatch.setattr(pruning, "LINES", 2)


@pytest.fixture
def clock():
    return clock_at(NOW)


@pytest.fixture
def opened(tmp_path, clock):
    """Return a function that opens the journal."""

    def opened(keep):
        url = f"sqlite:///{tmp_path}/journal.db"
        return Journal.open(url, emit=lambda _: None, clock=clock, keep_history=keep)

    return opened


def begin(journal, rid, files):
    """Return the number of an execution that is being uploaded, and those of its linked files."""
    new = journal.open_execution(SERVER, "/data", rid)
    journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
    journal.claim()
    sized = {"size_bytes": 10, "md5": "0" * 32}
    numbers = journal.commit([AddFile(new.id, f"{i}.tif", sized) for i in range(files)])
    for trigger in WAY:
        journal.commit([MoveFile(number, trigger) for number in numbers])
    return new.id, numbers


def finish(journal, number):
    journal.commit([MoveExecution(number, ExecutionTrigger.FINISHED)])


def lines(journal, number):
    """Return which states the lines of an execution are about: its own, and those of its files."""
    found = journal.history(number)
    own = [line.after for line in found if line.file_id is None]
    return own, [line.after for line in found if line.file_id is not None]


def test_the_steps_of_old_uploads_go_and_how_each_file_ended_stays(opened, clock):
    with opened(None) as journal:
        old, files = begin(journal, "1-OLD", 3)
        [refused] = journal.commit([AddFile(old, "bad.tif", {})])
        journal.commit([MoveFile(refused, FileTrigger.REFUSED, {"why": "it is bad"})])
        finish(journal, old)
        before = journal.execution(old), journal.files(old), lines(journal, old)
        began, amount = journal.started_at(), journal.uploaded_between(old, 0, 10**6)
    clock.time += KEEP + timedelta(seconds=1)
    with opened(KEEP) as journal:
        wait_until(lambda: len(journal.history(old)) == 4 + 3 + 1)

        own, of_files = lines(journal, old)
        assert own == before[2][0] == ["filling", "ready", "uploading", "uploaded"]
        assert of_files == ["linked"] * 3 + ["refused"]
        assert (journal.execution(old), journal.files(old)) == before[:2]
        assert (journal.started_at(), journal.uploaded_between(old, 0, 10**6)) == (began, amount)
        assert amount == (3, 30)
        assert [file.id for file in journal.files(old)] == [*files, refused]


def test_what_is_younger_or_not_at_rest_keeps_all_of_it(opened, clock):
    with opened(None) as journal:
        begun, _ = begin(journal, "1-BEGUN", 2)
        long_ago, _ = begin(journal, "1-LONG", 2)
        changed, _ = begin(journal, "1-CHANGED", 2)
        finish(journal, long_ago)
        finish(journal, changed)
    clock.time += KEEP + timedelta(seconds=1)
    with opened(KEEP) as journal:
        journal.commit([MoveExecution(changed, ExecutionTrigger.CHANGED)])
        young, _ = begin(journal, "1-YOUNG", 2)
        finish(journal, young)
        wait_until(lambda: len(lines(journal, long_ago)[1]) == 2)

        assert [len(lines(journal, number)[1]) for number in (begun, young)] == [10, 10]


def test_a_unit_that_becomes_open_again_keeps_what_is_left(opened, clock):
    with opened(KEEP) as journal:
        number, files = begin(journal, "1-AA", 2)
        finish(journal, number)
        clock.time += KEEP + timedelta(seconds=1)
        wait_until(lambda: len(lines(journal, number)[1]) == 2)

        journal.commit([MoveExecution(number, ExecutionTrigger.CHANGED)])
        journal.commit([MoveFile(file, FileTrigger.CHANGED) for file in files])
        assert {file.state for file in journal.files(number)} == {FileState.FOUND}
        assert journal.execution(number).state is ExecutionState.FILLING


def test_without_a_limit_nothing_is_ever_due():
    assert pruning.Pruning(None).wait_s is None
    assert pruning.Pruning(KEEP).wait_s == 0


def test_a_journal_that_cannot_be_pruned_is_written_all_the_same(opened, monkeypatch):
    """A bug is reported; a disk that cannot be written is met again by whoever writes."""
    reported = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    monkeypatch.setattr(pruning.Pruning, "step", lambda *_: 1 / 0)
    with opened(KEEP) as journal:
        wait_until(lambda: reported)
        number, _ = begin(journal, "1-AA", 1)
        assert journal.execution(number).state is ExecutionState.UPLOADING
    assert {bug.exc_type for bug in reported} == {ZeroDivisionError}


def test_a_database_that_another_program_holds_is_pruned_later(opened, clock, monkeypatch):
    monkeypatch.setattr(sqlite, "_BUSY_S", 0.05)
    tried = []
    step = pruning.Pruning.rest

    def rest(self):
        tried.append(self)
        step(self)

    with opened(None) as journal:
        number, _ = begin(journal, "1-AA", 1)
        finish(journal, number)
    clock.time += KEEP + timedelta(seconds=1)
    monkeypatch.setattr(pruning.Pruning, "rest", rest)
    monkeypatch.setattr(pruning, "FIRST_S", 0.2)
    with opened(KEEP) as journal:
        other = sqlite._connect(journal.path, "mode=rw")
        other.execute("BEGIN IMMEDIATE")
        wait_until(lambda: tried)
        assert len(lines(journal, number)[1]) == 5
        other.execute("ROLLBACK")
        other.close()
        wait_until(lambda: len(lines(journal, number)[1]) == 1)
