"""`history`: what ended when, and what came in by it."""

import io
from datetime import timedelta

import pytest

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.status import endings, open_views, render_endings, show
from looking import NOW, SENTENCE


@pytest.fixture
def told(lab):
    """An execution that is in, one that was refused, then more files of the first, a day later."""
    first = lab.uploaded("1-AA", a=1000, b=2000)
    lab.clock.time += timedelta(hours=2)
    second, files = lab.claimed("1-AB", a=5, b=7)
    lab.bring(files["a"])
    lab.journal.commit([MoveFile(files["b"], FileTrigger.REFUSED, SENTENCE)])
    lab.end(second, ExecutionTrigger.REFUSED, **SENTENCE)
    lab.clock.time += timedelta(days=1)
    for trigger in (ExecutionTrigger.CHANGED, ExecutionTrigger.COMPLETED, ExecutionTrigger.CLAIMED):
        lab.end(first, trigger)
    [late] = lab.journal.commit([AddFile(first, "c", {"size_bytes": 10})])
    lab.bring(late)
    lab.end(first)
    return open_views(lab.url)


def piped(view):
    file = io.StringIO()
    show(render_endings(view), file)
    return file.getvalue()


def test_each_end_says_what_came_in_by_it_the_oldest_first(told):
    found = endings(told)["endings"]

    assert [(e["rid"], e["state"], e["files"], e["bytes"]) for e in found] == [
        ("1-AA", "uploaded", 2, 3000),
        ("1-AB", "refused", 1, 5),
        ("1-AA", "uploaded", 1, 10),
    ]
    assert found[0]["at"] == NOW.isoformat()
    assert {part: found[1][part] for part in SENTENCE} == SENTENCE


def test_a_day_has_its_sums(told):
    assert endings(told)["days"] == [
        {"day": "2026-03-01", "uploaded": 1, "refused": 1, "gone": 0, "files": 3, "bytes": 3005},
        {"day": "2026-03-02", "uploaded": 1, "refused": 0, "gone": 0, "files": 1, "bytes": 10},
    ]


def test_it_may_begin_at_a_time_or_be_of_one_execution(told):
    lately = endings(told, since=NOW + timedelta(hours=3))
    one = endings(told, rid="1-AB")

    assert [(e["rid"], e["files"]) for e in lately["endings"]] == [("1-AA", 1)]
    assert lately["since"] == (NOW + timedelta(hours=3)).isoformat()
    assert [e["rid"] for e in one["endings"]] == ["1-AB"]
    with pytest.raises(TroubleError, match="Did you mean 1-AA"):
        endings(told, rid="1-aa.")


def test_people_get_a_line_an_end_and_a_line_a_day(told):
    assert piped(endings(told)) == (
        "2026-03-01 12:00:00  1-AA  uploaded  2 files    3.0 kB\n"
        "2026-03-01 14:00:00  1-AB  refused    1 file   5 bytes  cannot store a.tif\n"
        "2026-03-02 14:00:00  1-AA  uploaded   1 file  10 bytes\n"
        "\n"
        "2026-03-01  1 uploaded, 1 refused; 3 files, 3.0 kB uploaded\n"
        "2026-03-02  1 uploaded; 1 file, 10 bytes uploaded\n"
    )


def test_of_a_refused_batch_it_is_said_how_many_of_its_files_came_in(lab):
    number, files = lab.claimed("batch-1", a=1, b=1, c=1)
    lab.bring(files["a"])
    lab.bring(files["b"])
    refused = ExecutionTrigger.REFUSED
    report = {"files": {"linked": 2, "refused": 1}}
    lab.journal.commit([MoveExecution(number, refused, SENTENCE, report)])

    told = piped(endings(open_views(lab.url)))

    assert "refused  2 of 3 files uploaded  2 bytes  cannot store a.tif\n" in told


def test_where_nothing_ended_it_says_so(lab):
    reader = open_views(lab.url)

    assert piped(endings(reader)) == "no execution was uploaded, refused or gone\n"
    assert (
        piped(endings(reader, NOW))
        == "no execution was uploaded, refused or gone since 2026-03-01 12:00:00 UTC\n"
    )
