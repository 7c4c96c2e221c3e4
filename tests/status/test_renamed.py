"""A folder that was renamed after its upload: its files count once, wherever they are counted."""

import pytest

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile, NoteExecution
from deriva_watch.core.states import ExecutionTrigger, FileState, FileTrigger
from deriva_watch.status import endings, open_views

SERVER, EXECUTION = "data.example.org/1", "1-EXEC"


def uploaded(lab, name, removed=(), **sizes):
    """Return a directory of a drop folder that is in the catalog, with the rows of its files."""
    number = lab.journal.open_execution(SERVER, "/drop", name, "directory").id
    begun = [ExecutionTrigger.COMPLETED, ExecutionTrigger.CLAIMED]
    adding = [AddFile(number, each, {"size_bytes": size}) for each, size in sizes.items()]
    moves = [MoveExecution(number, trigger) for trigger in begun]
    files = lab.journal.commit([*moves, *adding])[len(moves) :]
    lab.journal.commit([NoteExecution(number, {"execution_rid": EXECUTION})])
    for each, file in zip(sizes, files, strict=True):
        lab.bring(file, FileState.STORED)
        recorded = MoveFile(file, FileTrigger.RECORDED, {"rid": f"1-{each}"})
        done = [MoveFile(file, FileTrigger.REMOVED)] if each in removed else []
        lab.journal.commit([recorded, MoveFile(file, FileTrigger.LINKED), *done])
    lab.end(number)
    return number


def renamed(lab, number, name, **sizes):
    """Rename the folder of a unit; return the unit that it is now."""
    lab.end(number, ExecutionTrigger.REMOVED)
    return uploaded(lab, name, **sizes)


@pytest.fixture
def names():
    return iter(["run-2", "run-3", "run-4"])


def counts(lab):
    """Return files, executions and bytes as all places that count say them."""
    look, past = lab.look(), endings(open_views(lab.url))
    return {
        "headline": look["verdict"]["text"].split(" in the catalog")[0],
        "files": look["files"]["linked"] + look["files"]["removed"],
        "bytes": look["bytes"]["safe"],
        "recent": sum(each["files"] for each in look["recent"]),
        "history": sum(day["files"] for day in past["days"]),
        "history bytes": sum(day["bytes"] for day in past["days"]),
    }


ONCE = {
    "headline": "all 2 files of 1 execution are",
    "files": 2,
    "bytes": 30,
    "recent": 2,
    "history": 2,
    "history bytes": 30,
}


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_folder_counts_once_however_often_it_is_renamed(lab, names, times):
    number = uploaded(lab, "run-1", a=10, b=20)
    for _ in range(times):
        number = renamed(lab, number, next(names), a=10, b=20)

    assert counts(lab) == ONCE


def test_it_still_counts_once_when_it_is_deleted_under_its_last_name(lab):
    number = renamed(lab, uploaded(lab, "run-1", a=10, b=20), "run-2", a=10, b=20)
    lab.end(number, ExecutionTrigger.REMOVED)

    assert counts(lab) == ONCE


def test_a_folder_that_gets_its_first_name_back_counts_once(lab):
    first = uploaded(lab, "run-1", a=10)
    second = renamed(lab, first, "run-2", a=10)
    lab.end(second, ExecutionTrigger.REMOVED)
    for trigger in (
        ExecutionTrigger.APPEARED,
        ExecutionTrigger.COMPLETED,
        ExecutionTrigger.CLAIMED,
        ExecutionTrigger.FINISHED,
    ):
        lab.end(first, trigger)

    assert (lab.look()["files"]["linked"], lab.look()["bytes"]["safe"]) == (1, 10)


def test_what_was_removed_before_and_what_came_later_count_too(lab):
    first = uploaded(lab, "run-1", removed=["a"], a=10, b=20)
    renamed(lab, first, "run-2", b=20, c=40)

    found = counts(lab)

    assert (found["files"], found["bytes"], found["history"]) == (3, 70, 3)
    assert "3 files of 1 execution" in found["headline"]


def test_a_copy_of_a_folder_is_counted_with_it(lab):
    uploaded(lab, "run-1", a=10)
    uploaded(lab, "copy of run-1", a=10)

    assert lab.look()["files"]["linked"] == 2
