"""What the journal says is on its way, fills, needs a person, or came in."""

from datetime import timedelta

import pytest

from deriva_watch.core.changes import MoveFile, NoteExecution, NoteFile
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.states import ExecutionTrigger, FileState, FileTrigger
from deriva_watch.edges.host.problems import Problems, Scope
from deriva_watch.status import sections
from deriva_watch.status.sections import MOST
from looking import NOW, SENTENCE


def test_what_is_on_its_way_says_how_far_it_is_how_fast_and_how_long_yet(lab):
    _, files = lab.claimed(a=100, b=200, c=300, d=0)
    lab.clock.time += timedelta(seconds=50)
    lab.bring(files["a"])
    lab.bring(files["b"], FileState.STORED)

    [going] = lab.look(later_s=10)["in_flight"]

    assert going == {
        "rid": "1-AA",
        "prefix": "/data",
        "label": "execution 1-AA",
        "state": "uploading",
        "files": 4,
        "files_done": 1,
        "bytes": 600,
        "bytes_done": 300,
        "since": NOW.isoformat(),
        "rate_bytes_per_s": 5.0,
        "eta_s": 60.0,
        "current": [],
    }


def test_a_large_file_counts_chunk_by_chunk(lab):
    _, files = lab.claimed(big=1000, small=1)
    lab.bring(files["big"], FileState.HASHED)
    resumed = {"at": NOW.isoformat(), "bytes": 100}
    job = {"size_bytes": 1000, "chunk_bytes": 100, "chunks": [0, 1, 2], "resumed": resumed}
    lab.journal.commit([NoteFile(files["big"], {"job": job})])

    [going] = lab.look(later_s=20)["in_flight"]

    assert going["current"] == [{"path": "big", "bytes": 1000, "bytes_done": 300}]
    assert (going["bytes"], going["bytes_done"]) == (1001, 300)
    assert (going["rate_bytes_per_s"], going["eta_s"]) == (10, pytest.approx(70.1))


def test_a_large_file_that_took_an_hour_does_not_count_as_sent_within_a_minute(lab):
    _, files = lab.claimed(big=3600 * 2**20, small=60 * 2**20)
    lab.clock.time += timedelta(hours=1)
    lab.bring(files["big"], FileState.STORED, seconds=3600)

    [going] = lab.look()["in_flight"]

    assert going["rate_bytes_per_s"] == pytest.approx(2**20)
    assert going["eta_s"] == pytest.approx(60)


def test_what_is_left_of_an_upload_that_ended_is_not_being_sent(lab):
    number, files = lab.claimed(big=1000)
    lab.bring(files["big"], FileState.HASHED)
    job = {"size_bytes": 1000, "chunk_bytes": 100, "chunks": [0]}
    lab.journal.commit([NoteFile(files["big"], {"job": job})])
    lab.end(number, ExecutionTrigger.INTERRUPTED)

    [ready] = lab.look(later_s=20)["in_flight"]

    assert (ready["state"], ready["rate_bytes_per_s"], ready["current"]) == ("ready", None, [])


def test_what_fills_says_why_it_is_not_complete_yet(lab):
    new = lab.journal.open_execution("data.example.org/1", "/data", "1-AA")
    facts = {"verdict": {"why": "a.bin is open"}, "next_at": NOW}
    lab.journal.commit([NoteExecution(new.id, facts)])

    found = lab.look()

    about = {"rid": "1-AA", "prefix": "/data", "next_at": NOW.isoformat()}
    assert found["filling"] == [{**about, "why": "a.bin is open"}]
    assert found["verdict"]["text"] == "1 execution is not complete yet"


def test_what_no_mapping_takes_and_what_is_refused_have_at_most_three_examples(lab):
    number, files = lab.claimed(**dict.fromkeys("abcdefgh", 1))
    why = {"what": "cannot tell where it goes", "why": "no mapping matches it"}
    lab.journal.commit([MoveFile(files[name], FileTrigger.UNMATCHED, why) for name in "abcd"])
    lab.journal.commit([MoveFile(files[name], FileTrigger.REFUSED, SENTENCE) for name in "efgh"])
    lab.end(number, ExecutionTrigger.REFUSED, **SENTENCE)

    found = lab.look()

    [unmatched], [refused] = found["unmatched"], found["refused"]
    assert (unmatched["files"], refused["files"]) == (4, 4)
    assert unmatched["examples"] == [
        {"path": name, "why": "no mapping matches it"} for name in ("a", "b", "c")
    ]
    assert refused["examples"] == [{"path": name, **SENTENCE} for name in ("e", "f", "g")]


def test_what_is_gone_needs_nobody(lab):
    number, files = lab.claimed(a=1)
    lab.journal.commit([MoveFile(files["a"], FileTrigger.UNMATCHED)])
    assert lab.look()["verdict"]["level"] == "person"
    lab.end(number, ExecutionTrigger.REMOVED)

    found = lab.look()

    assert (found["unmatched"], found["verdict"]["level"]) == ([], "empty")


def test_bytes_are_safe_or_pending(lab):
    lab.uploaded("1-AA", a=100)
    gone, _ = lab.claimed("1-AB", b=50)
    lab.end(gone, ExecutionTrigger.REMOVED)
    _, files = lab.claimed("1-AC", c=7, d=20, e=3)
    lab.bring(files["d"], FileState.RECORDED)
    lab.journal.commit([MoveFile(files["e"], FileTrigger.IGNORED)])

    assert lab.look()["bytes"] == {"safe": 100, "pending": 27}


def test_the_last_twenty_that_came_in_are_told_the_newest_first_and_once(lab):
    numbers = []
    for count in range(22):
        lab.clock.time += timedelta(seconds=1)
        numbers.append(lab.uploaded(f"1-{count:02}", a=count))
    again = numbers[20]
    for trigger in ("changed", "completed", "claimed", "finished"):
        lab.end(again, ExecutionTrigger(trigger))

    recent = lab.look()["recent"]

    newest = lab.clock.time.isoformat()
    assert recent[0] == {"rid": "1-20", "prefix": "/data", "at": newest, "files": 1, "bytes": 20}
    assert [each["rid"] for each in recent] == [
        *("1-20", "1-21"),
        *(f"1-{count:02}" for count in range(19, 2, -1)),
    ]


def test_long_lists_are_cut_and_say_so(lab):
    for count in range(MOST + 3):
        lab.journal.open_execution("data.example.org/1", "/data", f"1-{count}")

    found = lab.look()

    assert (len(found["filling"]), found["filling_more"]) == (MOST, 3)
    assert "refused_more" not in found


# ---------------------------------------------------------------------- the verdict


def test_nothing_was_ever_seen(lab):
    verdict = lab.look()["verdict"]

    assert verdict["level"] == "empty"
    assert verdict["next"] == "deriva-watch check"


def test_all_is_safe(lab):
    lab.uploaded("1-AA", a=1, b=2)
    assert lab.look()["verdict"] == {
        "level": "safe",
        "next": None,
        "text": "all 2 files of 1 execution are in the catalog on data.example.org",
    }

    lab.uploaded("1-AB", c=1)

    text = "all 3 files of 2 executions are in the catalog on data.example.org"
    assert lab.look()["verdict"]["text"] == text


def test_something_is_on_its_way(lab):
    lab.uploaded("1-AA", a=1)
    lab.claimed("1-AB", b=1)
    lab.journal.open_execution("data.example.org/1", "/data", "1-AC")

    assert lab.look()["verdict"] == {
        "level": "busy",
        "next": None,
        "text": "1 execution is being uploaded, 1 execution is not complete yet; "
        "1 file of 1 execution is in the catalog on data.example.org",
    }


def test_what_failed_waits_and_is_not_on_its_way(lab):
    """It may need a person: a drop folder may wait for its settings to be mended."""
    number, _ = lab.claimed("1-AB", b=1)
    lab.end(number, ExecutionTrigger.DEFERRED, **SENTENCE)

    assert lab.look()["verdict"] == {
        "level": "busy",
        "next": "deriva-watch show 1-AB",
        "text": "1 execution is waiting for a retry",
    }


def test_a_person_is_needed_and_the_command_is_told(lab):
    lab.uploaded("1-AA", a=1)
    number, files = lab.claimed("1-AB", a=1, b=1)
    lab.journal.commit([MoveFile(files["b"], FileTrigger.UNMATCHED)])
    lab.end(number, ExecutionTrigger.REFUSED, **SENTENCE)

    assert lab.look()["verdict"] == {
        "level": "person",
        "next": "deriva-watch show 1-AB",
        "text": "1 execution needs attention; "
        "1 file of 1 execution is in the catalog on data.example.org",
    }


def test_an_execution_that_is_refused_and_has_unmatched_files_counts_once(lab):
    number, files = lab.claimed("1-AA", a=1, b=1)
    lab.journal.commit([MoveFile(files["a"], FileTrigger.UNMATCHED)])
    lab.end(number, ExecutionTrigger.REFUSED, **SENTENCE)
    lab.refused("1-AB")
    number, files = lab.claimed("1-AC", a=1)
    lab.journal.commit([MoveFile(files["a"], FileTrigger.UNMATCHED)])
    lab.end(number)

    found = lab.look()

    assert found["attention"] == {"executions": 3, "folders": 0}
    assert found["verdict"]["text"] == "3 executions need attention"


def test_what_fills_says_how_much_there_is_so_far(lab):
    new = lab.journal.open_execution("data.example.org/1", "/data", "1-AA")
    verdict = {"why": "a.bin is open", "files": 2000, "size_bytes": 4_000_000}
    lab.journal.commit([NoteExecution(new.id, {"verdict": verdict})])

    [entry] = lab.look()["filling"]

    assert (entry["files"], entry["bytes"]) == (2000, 4_000_000)


def test_what_a_person_has_cancelled_needs_nobody(lab):
    lab.uploaded("1-AA", a=1)
    number, files = lab.claimed("1-AB", a=1)
    lab.journal.commit([MoveFile(files["a"], FileTrigger.UNMATCHED)])
    lab.end(number, ExecutionTrigger.REFUSED, **SENTENCE)
    assert lab.look()["attention"]["executions"] == 1
    lab.journal.hold(number, Hold(HoldKind.CANCELLED, "ann", NOW))

    found = lab.look()

    assert (found["cancelled"], found["attention"]["executions"]) == (1, 0)
    assert [each["cancelled"] for each in found["refused"] + found["unmatched"]] == [True, True]
    assert found["verdict"] == {
        "level": "safe",
        "next": None,
        "text": "1 execution is cancelled; "
        "1 file of 1 execution is in the catalog on data.example.org",
    }


def test_who_is_needed_is_not_overlooked_behind_many_that_are_cancelled(lab, monkeypatch):
    monkeypatch.setattr(sections, "MOST", 2)
    numbers = [lab.refused(f"1-{count}") for count in range(5)]
    for number in numbers[:3]:
        lab.journal.hold(number, Hold(HoldKind.CANCELLED, "ann", NOW))

    verdict = lab.look()["verdict"]

    assert (verdict["level"], verdict["text"]) == ("person", "2 executions need attention")


def test_the_command_can_be_typed_whatever_a_unit_is_called(lab):
    lab.refused("my unit")

    assert lab.look()["verdict"]["next"] == "deriva-watch show 'my unit'"


def test_a_problem_of_a_folder_is_no_outage(lab):
    problems = Problems(lab.journal.path.parent, [].append)
    error = TroubleError("cannot watch /nas", "there is no /nas", "Mount it.")
    problems.put("/nas", error, Scope.FOLDER)

    assert lab.look()["healthy"]
    assert lab.look()["verdict"] == {
        "level": "person",
        "next": "deriva-watch check",
        "text": "1 problem of folders needs attention: cannot watch /nas",
    }
    lab.refused("1-AA")
    assert lab.look()["verdict"] == {
        "level": "person",
        "next": "deriva-watch show 1-AA",
        "text": "1 execution and 1 problem of folders needs attention",
    }


def test_what_holds_the_daemon_up_comes_before_all_else(lab):
    problems = Problems(lab.journal.path.parent, [].append)
    problems.put("server", TroubleError("cannot reach data.example.org", "timed out", "Wait."))

    assert lab.look()["verdict"] == {
        "level": "trouble",
        "next": "deriva-watch check",
        "text": "the daemon cannot work: cannot reach data.example.org",
    }

    lab.journal.close()

    assert lab.look()["verdict"] == {
        "level": "trouble",
        "next": "deriva-watch run",
        "text": "no daemon is running",
    }
