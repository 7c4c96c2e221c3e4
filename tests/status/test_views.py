import json
from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile, NoteFile
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.status import details, open_views, summary
from looking import clock_at

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SENTENCE = {"what": "cannot store a.tif", "why": "403", "next": "Ask, then `retry 1-AA`."}


@pytest.fixture
def clock():
    return clock_at(NOW)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/journal.db"


@pytest.fixture
def journal(url, clock):
    with Journal.open(url, emit=lambda _: None, clock=clock) as journal:
        yield journal


def claimed(journal, rid="1-AA", prefix="/data"):
    new = journal.open_execution("example.org/1", prefix, rid)
    journal.commit(
        [MoveExecution(new.id, ExecutionTrigger.COMPLETED, {"verdict": {"quiet_s": 30}})]
    )
    return journal.claim().id


@pytest.mark.usefixtures("journal")
def test_an_empty_journal_beside_a_daemon_is_healthy(url):
    found = summary(open_views(url), NOW)

    assert found["healthy"]
    assert (found["server"], found["oldest_pending_s"], found["problems"]) == (None, 0, [])
    assert not any({**found["executions"], **found["files"]}.values())


def test_executions_and_files_are_counted_by_state(journal, url):
    number = claimed(journal)
    journal.open_execution("example.org/1", "/data", "1-AB")
    names = journal.commit([AddFile(number, name, {}) for name in "abc"])
    journal.commit([MoveFile(names[0], FileTrigger.UNMATCHED)])

    found = summary(open_views(url), NOW)

    assert {s: n for s, n in found["executions"].items() if n} == {"filling": 1, "uploading": 1}
    assert {s: n for s, n in found["files"].items() if n} == {"found": 2, "unmatched": 1}
    assert found["server"] == "example.org/1"


def test_a_journal_that_was_set_aside_is_a_notice_as_long_as_it_lies_there(tmp_path, url):
    damaged = tmp_path / "journal.db.damaged-20260301T120000.000000Z"
    damaged.touch()
    with Journal.open(url, emit=lambda _: None):
        found = summary(open_views(url), NOW)
        damaged.unlink()
        later = summary(open_views(url), NOW)

    [notice] = found["notices"]
    assert str(damaged) in notice["what"]
    assert notice["why"] == "it was damaged"
    assert "Delete that file" in notice["next"]
    assert found["healthy"]
    assert later["notices"] == []


def test_without_a_daemon_nothing_is_healthy(journal, url):
    journal.close()

    found = summary(open_views(url), NOW)

    assert (found["healthy"], found["daemon"]) == (False, None)
    assert [reason["what"] for reason in found["reasons"]] == ["no daemon is running"]


def test_a_refused_execution_is_named_with_its_sentence(journal, url):
    number = claimed(journal)
    journal.commit([MoveExecution(number, ExecutionTrigger.REFUSED, SENTENCE)])

    found = summary(open_views(url), NOW)

    assert found["attention"]["executions"] == 1
    about = {"rid": "1-AA", "prefix": "/data", "changed_at": NOW.isoformat()}
    assert found["refused"] == [
        {**about, **SENTENCE, "files": 0, "examples": [], "cancelled": False}
    ]


def test_a_waiting_execution_says_until_when_and_is_healthy(journal, url):
    number, later = claimed(journal), NOW + timedelta(seconds=5)
    facts = {**SENTENCE, "next_at": later, "attempts": 3}
    journal.commit([MoveExecution(number, ExecutionTrigger.DEFERRED, facts)])

    found = summary(open_views(url), NOW)

    assert found["healthy"]
    assert found["waiting"] == [
        {"rid": "1-AA", "prefix": "/data", **facts, "next_at": later.isoformat()}
    ]


def test_the_oldest_pending_counts_from_when_it_became_complete(journal, url, clock):
    """Attempts since then do not make it younger, and an upload that ended does not count."""
    done, number = claimed(journal, "1-AA"), claimed(journal, "1-AB")
    journal.commit([MoveExecution(done, ExecutionTrigger.FINISHED)])
    clock.time = NOW + timedelta(hours=20)
    journal.commit([MoveExecution(number, ExecutionTrigger.DEFERRED)])
    claimed(journal, "1-AC")

    found = summary(open_views(url), NOW + timedelta(hours=25))

    assert found["oldest_pending_s"] == 25 * 3600


def test_details_tell_the_verdict_every_file_and_the_history(journal, url):
    number = claimed(journal)
    [file] = journal.commit([AddFile(number, "a.tif", {"size_bytes": 3})])
    journal.commit(
        [NoteFile(file, {"md5": "0" * 32}), MoveFile(file, FileTrigger.REFUSED, SENTENCE)]
    )

    [found] = details(open_views(url), "1-AA")["executions"]

    assert (found["state"], found["verdict"]) == ("uploading", {"quiet_s": 30})
    assert len(found["files"]) == 1
    expected = {"path": "a.tif", "state": "refused", "size_bytes": 3, "md5": "0" * 32, **SENTENCE}
    assert expected.items() <= found["files"][0].items()
    assert [(line["path"], line["after"]) for line in found["history"]] == [
        *((None, "filling"), (None, "ready"), (None, "uploading")),
        *(("a.tif", "found"), ("a.tif", "refused")),
    ]


def test_details_show_the_same_rid_of_every_prefix(journal, url):
    claimed(journal, prefix="/data")
    claimed(journal, prefix="/other")

    found = details(open_views(url), "1-AA")["executions"]

    assert [execution["prefix"] for execution in found] == ["/data", "/other"]


@pytest.mark.usefixtures("journal")
def test_details_of_an_unknown_rid_say_where_to_look(url):
    with pytest.raises(TroubleError, match=r"cannot show 9-ZZ: .* has no such execution"):
        details(open_views(url), "9-ZZ")


def test_views_are_json_that_any_program_can_read(journal, url):
    """Names that are not UTF-8 would be lone surrogates."""
    number = claimed(journal, prefix="/data/\udcff")
    evidence = {"verdict": {"names": ["\udcff"], "since": NOW}}
    journal.commit([AddFile(number, "\udcff\n.tif", {})])
    journal.commit([MoveExecution(number, ExecutionTrigger.REFUSED, evidence)])
    reader = open_views(url)

    for view in (summary(reader, NOW), details(reader, "1-AA")):
        assert json.loads(json.dumps(view, ensure_ascii=False).encode()) == view
    assert details(reader, "1-AA")["executions"][0]["files"][0]["path"] == "\\udcff\n.tif"


def test_the_daemon_may_show_its_own_journal(journal, url):
    claimed(journal)

    assert summary(journal, NOW) == summary(open_views(url), NOW)
