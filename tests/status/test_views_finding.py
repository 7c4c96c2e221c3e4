import os

import pytest

from deriva_watch.core.changes import AddFile, MoveFile
from deriva_watch.core.states import FileTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.status.views import MOST, finding

LATIN = os.fsdecode(b"caf\xe9_100%.txt")


@pytest.fixture
def journal(tmp_path):
    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=lambda _: None) as journal:
        yield journal


def filled(journal, rid, names):
    number = journal.open_execution("example.org/1", "/data", rid).id
    return journal.commit([AddFile(number, name, {}) for name in names])


def test_a_file_is_found_by_a_part_of_its_path_with_its_execution_the_latest_first(journal):
    filled(journal, "1-AA", ["assets/Image/scan 1.tif", "assets/Image/other.tif"])
    (file,) = filled(journal, "1-AB", ["late/scan 1.tif"])
    journal.commit([MoveFile(file, FileTrigger.UNMATCHED)])

    found = finding(journal, "scan 1")

    assert [(f["rid"], f["path"], f["state"]) for f in found["files"]] == [
        ("1-AB", "late/scan 1.tif", "unmatched"),
        ("1-AA", "assets/Image/scan 1.tif", "found"),
    ]
    assert (found["executions"], found["more"]) == ([], False)


@pytest.mark.parametrize("name", ["caf", "_100%", "100%.txt"])
def test_a_name_is_no_pattern_and_may_hold_any_byte(journal, name):
    filled(journal, "1-A%A_", [LATIN, "caption"])

    assert [f["path"] for f in finding(journal, name)["files"]] == ["caf\\udce9_100%.txt"]
    assert [e["rid"] for e in finding(journal, "A%")["executions"]] == ["1-A%A_"]
    assert finding(journal, "A_A")["executions"] == []


def test_of_many_only_some_are_told_and_that_there_are_more(journal):
    filled(journal, "1-AA", [f"{n}.tif" for n in range(MOST + 5)])

    found = finding(journal, ".tif")

    assert (len(found["files"]), found["more"]) == (MOST, True)
