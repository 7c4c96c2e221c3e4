from datetime import UTC, datetime

import pytest

from deriva_watch.core.completeness.observation import Entry, Kind, Observation
from deriva_watch.core.names import CONTENT_PATH
from deriva_watch.core.objects import ObjectVersion
from deriva_watch.core.records import FileRecord
from deriva_watch.core.removal.removal import (
    Removable,
    Uptime,
    blocking_path,
    differences,
    numbered,
    reason_to_keep,
    with_removed,
    without,
)
from deriva_watch.core.states import FileState

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FACTS = {
    "size_bytes": 3,
    "mtime_ns": 7,
    "device": 1,
    "inode": 2,
    "md5": "aa",
    "sha256": "bb",
    "table": "demo:Image",
    "url": "/hatrac/a:1",
    "rid": "1-A",
}
ROW = {"RID": "1-A", "URL": "/hatrac/a:1", "MD5": "aa", "Length": 3}
THERE = ObjectVersion("/hatrac/a:1", '"e"', 3, "aa")


def file(path="a", state=FileState.LINKED, **facts):
    return FileRecord(1, 1, path, state, NOW, **FACTS | facts)


def look(*entries, unreadable=None):
    return Observation("/drop", {e.path: e for e in entries}, NOW, unreadable or {})


def test_a_file_that_is_linked_and_whose_object_is_known_may_go():
    assert reason_to_keep(file()) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"state": FileState.RECORDED},
        {"state": FileState.ELSEWHERE},
        {"url": None},
        {"rid": None},
        {"sha256": None},
        {"rows": 3},
        {"names": {CONTENT_PATH: "/state/bags/a.zip"}},
    ],
    ids=str,
)
def test_a_file_of_which_something_is_not_known_stays(facts):
    assert reason_to_keep(file(**facts))


def test_the_server_holds_what_was_uploaded():
    assert list(differences(file(), ROW, THERE)) == []


@pytest.mark.parametrize(
    ("row", "there", "said"),
    [
        (None, THERE, "row 1-A is not in demo:Image"),
        (ROW | {"URL": "/hatrac/a:2"}, THERE, "URL"),
        (ROW | {"MD5": "cc"}, THERE, "MD5"),
        (ROW | {"Length": 4}, THERE, "Length"),
        (ROW, None, "gone"),
        (ROW, ObjectVersion("/hatrac/a:1", '"e"', 3, None), "no MD5"),
        (ROW, ObjectVersion("/hatrac/a:1", '"e"', 3, "cc"), "different content"),
        (ROW, ObjectVersion("/hatrac/a:1", '"e"', 4, "aa"), "different content"),
    ],
)
def test_what_the_server_lost_or_changed_is_said(row, there, said):
    (why,) = differences(file(), row, there)
    assert said in why


def test_all_that_differs_is_said():
    found = list(differences(file(), ROW | {"MD5": "cc", "Length": 4}, None))

    assert [why.split(" = ")[0] for why in found] == [
        "row 1-A says MD5",
        "row 1-A says Length",
        "its object /hatrac/a:1 is gone",
    ]


def test_files_that_are_not_in_the_catalog_hold_back_what_lies_beside_them():
    good, bad = Entry("a", 3, 7, 1, 2), Entry("b", 3, 7, 1, 3)
    fine = file("b", FileState.LINKED)

    assert blocking_path([file(), fine], look(good, bad)) is None
    assert blocking_path([file(), file("b", FileState.UNMATCHED)], look(good, bad)) == "b"
    assert blocking_path([file(), file("b", FileState.REFUSED)], look(good, bad)) == "b"
    assert (
        blocking_path([file(), fine], look(good, Entry("c", 0, 0, 1, 4, kind=Kind.IGNORED))) == "c"
    )
    assert blocking_path([file(), fine], look(good, unreadable={"d": "no right"})) == "d"
    assert blocking_path([file(), file("b", FileState.REFUSED)], look(good)) is None


def test_what_is_removed_is_no_change_of_the_unit():
    one, two = Entry("a", 3, 7, 1, 2), Entry("b", 3, 7, 1, 3)
    before = look(one, two)

    after = without(before, ["a"])

    assert after.digest() == look(two).digest()
    assert with_removed(after, [Removable(file(), "a")]).digest() == before.digest()


def test_uptime_counts_what_this_host_was_on_and_no_clock_that_is_set():
    first = Uptime("boot one", 100.0, 0.0)

    assert first.later("boot one", 160.0).total_s == 60.0
    assert first.later("boot two", 5.0).total_s == 5.0
    assert first.later("boot one", 160.0).later("boot two", 5.0).total_s == 65.0
    assert first.later("boot one", 90.0).total_s == 0.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scan.dcm", "scan (2).dcm"),
        ("README", "README (2)"),
        (".hidden", ".hidden (2)"),
        ("a.ome.tiff", "a.ome (2).tiff"),
        ("\udcff.dcm", "\udcff (2).dcm"),
    ],
)
def test_a_name_that_is_taken_gets_a_number(name, expected):
    assert numbered(name, 2) == expected
    assert len(numbered("x" * 255, 2).encode()) == 255
