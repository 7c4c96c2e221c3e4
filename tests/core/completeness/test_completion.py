"""When a directory is complete: a table of cases, without a clock."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_watch.core.completeness.completion import Complete, Incomplete, Refuse, judge
from deriva_watch.core.completeness.coverage import missing_files
from deriva_watch.core.completeness.evidence import (
    Evidence,
    Since,
    partial_digest,
    partial_paths,
    recorded,
    same_since,
    still,
    unchanged_since_before_boot,
)
from deriva_watch.core.completeness.observation import (
    Entry,
    HolderMethod,
    Holders,
    Kind,
    Observation,
)
from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.metadata.sources import Manifest, Sources, Statement

START = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1024**3
POLICY = CompletionPolicy()
NOBODY = Holders(frozenset(), HolderMethod.PROC)


def at(seconds: float) -> datetime:
    """Return a time so many seconds after everything began."""
    return START + timedelta(seconds=seconds)


def evidence(looked_s: float, *files: Entry, **more: Any) -> Evidence:
    """Return a look at *looked_s* that finds what was there at the start."""
    entries = {entry.path: entry for entry in files or (Entry("a.png", 1, 0, 1, 1),)}
    seen = Observation("/data/deriva-ml/execution/1-ABC", entries, at(looked_s), {})
    return Evidence(seen=seen, **{"content": Since("digest", START), "holders": NOBODY} | more)


def marker(name: str = ".complete") -> Entry:
    return Entry(name, 0, 0, 1, 2)


def judged(looked_s: float, *files: Entry, policy: CompletionPolicy = POLICY, **more: Any):
    return judge(evidence(looked_s, *files, **more), policy, at(looked_s))


def wait_s(answer: object) -> float:
    """Return how long after the start to look again."""
    assert isinstance(answer, Incomplete), answer
    return (answer.look_again_at - START).total_seconds()


FILE = Entry("a.png", 1, 0, 1, 1)


def test_quiet_and_not_open_is_complete():
    answer = judged(30)

    assert isinstance(answer, Complete)
    assert (
        answer.why
        == "nobody has a file open for writing (proc); unchanged for 30 s (30 s required)"
    )


def test_a_first_look_waits_for_the_quiet_period():
    answer = judged(0)

    assert wait_s(answer) == 30
    assert answer.why == "unchanged for 0 s (30 s required)"


def test_quiet_counts_between_two_looks_and_not_until_now():
    """A minute has passed, but the latest look is of the tenth second: look again at once."""
    answer = judge(evidence(10), POLICY, at(60))

    assert answer.look_again_at < at(60)


@pytest.mark.parametrize(
    ("size_bytes", "needed_s"),
    [(0, 30), (GIB, 60), (10 * GIB, 330), (19 * GIB, 600), (500 * GIB, 600)],
)
def test_quiet_grows_with_the_largest_file(size_bytes, needed_s):
    largest = Entry("big.bin", size_bytes, 0, 1, 1)

    assert wait_s(judged(0, largest)) == needed_s
    assert isinstance(judged(needed_s, largest), Complete)


# ---------------------------------------------------------------------- partial files

PARTIAL = Entry("b.bin.part", 5, 0, 1, 7, kind=Kind.IGNORED)


@pytest.mark.parametrize("more", [{}, {"catalog": Since("Failed", START)}])
def test_a_partial_file_holds_for_the_longest_quiet_period_whatever_else_is_said(more):
    fresh = {"partial": Since("partial", at(40)), "partial_paths": [PARTIAL.path]}

    answer = judged(100, FILE, marker(), PARTIAL, **fresh, **more)

    assert wait_s(answer) == 640
    assert (
        answer.why
        == "b.bin.part has the name of a partial file: unchanged for 60 s (600 s required)"
    )


def test_a_partial_file_that_somebody_left_behind_holds_nothing_and_is_told():
    left = {"partial": Since("partial", at(40)), "partial_paths": [PARTIAL.path]}

    answer = judged(640, FILE, PARTIAL, **left)

    assert isinstance(answer, Complete)
    assert "b.bin.part has the name of a partial file, but is unchanged for 600 s" in answer.why
    assert answer.evidence["partial"] == ["b.bin.part"]


@pytest.mark.parametrize(
    "path",
    [
        *("a.part", "x/a.bin.crdownload", "a.tmp", "~$report.docx", "x/.notes.swp", "a.filepart"),
        "a.part/inner.bin",
    ],
)
def test_files_are_partial_by_their_names_or_those_of_their_folders(path):
    def digest(entry):
        seen = evidence(0, FILE, entry).seen
        return partial_digest(seen, partial_paths(seen, POLICY.partial))

    entry = Entry(path, 5, 0, 1, 7, kind=Kind.IGNORED)

    assert digest(entry)
    assert digest(entry) != digest(Entry(path, 6, 0, 1, 7, kind=Kind.IGNORED))


@pytest.mark.parametrize("path", ["a.png", "part", "a.part.png", "tmp/a.png", ".hidden"])
def test_other_names_are_whole(path):
    seen = evidence(0, Entry(path, 5, 0, 1, 7)).seen

    assert partial_digest(seen, partial_paths(seen, POLICY.partial)) is None


def test_a_directory_that_will_be_renamed_is_partial_as_a_whole():
    seen = evidence(0, FILE).seen

    assert partial_paths(seen, POLICY.partial, "run 1.part") == ["a.png"]
    assert partial_paths(seen, POLICY.partial, "run 1") == []


def test_all_that_is_missing_is_told():
    held = Holders(frozenset({"a.png"}), HolderMethod.PROC)

    fresh = {"partial": Since("partial", START), "partial_paths": [PARTIAL.path]}

    answer = judged(10, FILE, PARTIAL, holders=held, **fresh)

    assert answer.evidence["missing"] == [
        "a.png is open for writing",
        "unchanged for 10 s (30 s required)",
        "b.bin.part has the name of a partial file: unchanged for 10 s (600 s required)",
    ]


def test_without_files_it_is_incomplete():
    ignored = Entry("a.part", 1, 0, 1, 1, kind=Kind.IGNORED)

    for files in ((marker(),), (ignored,), (marker(), ignored)):
        assert judged(100, *files).why == "it has no files yet"


@pytest.mark.parametrize("path", [".", "asset"])
def test_a_directory_that_cannot_be_listed_is_complete_once_it_is_quiet(path):
    """So that the plan can name what is in the way; it is looked at again when that changes."""
    seen = Observation("/data/1-ABC", {}, at(100), {path: "Permission denied"})
    answer = judge(Evidence(seen=seen, content=Since("", START), holders=NOBODY), POLICY, at(100))

    assert isinstance(answer, Complete)


@pytest.mark.parametrize("more", [{}, {"catalog": Since("Stopped", START)}])
def test_an_open_file_holds_whatever_else_is_said(more):
    held = Holders(frozenset({"a.png", "b.png"}), HolderMethod.PROC)

    answer = judged(10_000, FILE, marker(), holders=held, **more)

    assert wait_s(answer) == 10_030
    assert answer.why == "a.png and 1 more is open for writing"


@pytest.mark.parametrize("files", [(FILE,), (FILE, marker())])
def test_unknown_holders_make_quiet_count_four_times(files):
    unknown = Holders(frozenset(), HolderMethod.UNKNOWN)
    needed_s = 4 * (5 if len(files) > 1 else 30)

    answer = judged(needed_s - 1, *files, holders=unknown)

    assert wait_s(answer) == needed_s
    assert "open files cannot be seen here" in answer.why
    assert "four times" in judged(needed_s, *files, holders=unknown).why


@pytest.mark.parametrize("name", [".complete", "CopyComplete.txt"])
def test_a_marker_shortens_the_wait_and_needs_no_grace(name):
    assert wait_s(judged(0, FILE, marker(name))) == 5
    assert isinstance(judged(5, FILE, marker(name)), Complete)


def test_a_marker_that_does_not_count_is_no_marker():
    found = evidence(6, FILE, marker())
    seen = replace(found.seen, disbelieved={".complete": "it is of somebody else"})

    assert wait_s(judge(replace(found, seen=seen), POLICY, at(6))) == 30


def test_a_marker_in_a_folder_below_is_no_marker():
    assert wait_s(judged(0, FILE, marker("assets/.complete"))) == 30


def test_a_failed_run_is_done_at_once():
    assert isinstance(judged(5, catalog=Since("Failed", START)), Complete)


@pytest.mark.parametrize("source", ["workspace", "catalog"])
@pytest.mark.parametrize("word", ["Stopped", "Completed"])
def test_after_the_program_stopped_it_gets_grace_for_its_own_upload(source, word):
    """Also with a marker: it is the program that may upload and clean the folder."""
    status = {source: Since(word, at(2))}

    assert wait_s(judged(50, FILE, marker(), **status)) == 62
    assert isinstance(judged(62, FILE, **status), Complete)


def test_running_forbids_however_quiet():
    answer = judged(100_000, FILE, marker(), catalog=Since("Running", START))

    assert wait_s(answer) == 100_030
    assert answer.why == "its status is Running"


def test_a_run_that_never_moved_again_is_taken_for_dead():
    policy = CompletionPolicy(max_running_s=3600)
    running = Since("Running", START)

    assert wait_s(judged(3590, policy=policy, catalog=running)) == 3600
    assert isinstance(judged(3600, policy=policy, catalog=running), Complete)


def test_a_restart_of_the_daemon_does_not_begin_the_wait_for_a_dead_run_again():
    policy = CompletionPolicy(max_running_s=3600)
    running = Since("Running", at(7200))

    known = {"catalog": running, "content": Since("digest", at(7200)), "same_since": at(3620)}

    assert wait_s(judged(7215, policy=policy, **known)) == 7230  # quiet is counted again
    assert isinstance(judged(7230, policy=policy, **known), Complete)
    known["same_since"] = at(3700)
    assert judged(7230, policy=policy, **known).why == "its status is Running"


@pytest.mark.parametrize(
    ("later", "since"),
    [
        ({}, at(3)),
        ({"content": Since("other", START)}, None),
        ({"row_changed": "t2"}, None),
        ({"catalog": Since("Stopped", START)}, None),
    ],
)
def test_what_all_looks_have_found_is_known_across_restarts(later, since):
    before = recorded(looked(7, same_since=at(3)))

    assert same_since(before, looked(90, **later)) == since
    assert same_since(before, looked(1, **later)) is None  # the clock was set back
    assert same_since({**before, "same_since": None}, looked(90, **later)) is None


def test_a_run_that_still_writes_is_not_dead():
    policy = CompletionPolicy(max_running_s=3600)
    changed = Since("digest", at(3000))

    answer = judged(3700, policy=policy, catalog=Since("Running", START), content=changed)

    assert answer.why == "its status is Running"


def test_the_workspace_knows_before_the_catalog():
    answer = judged(60, catalog=Since("Running", START), workspace=Since("Stopped", START))

    assert isinstance(answer, Complete)


# ---------------------------------------------------------------------- registered files


@pytest.mark.parametrize("more", [{}, {"catalog": Since("Failed", START)}])
def test_a_file_that_was_registered_is_waited_for_as_long_as_for_the_largest(more):
    missed = {"missing_files": ["assets/Image/a.png", "assets/Image/b.png"]}

    answer = judged(100, FILE, **missed, **more)

    assert wait_s(answer) == 600
    assert answer.why.startswith(
        "assets/Image/a.png and 1 more is listed in the manifest or workspace but does not exist: "
    )
    answer = judged(600, FILE, **missed, **more)
    assert isinstance(answer, Complete)
    assert "is listed in the manifest or workspace but was never written" in answer.why


@pytest.mark.parametrize(
    ("path", "is_there"),
    [
        ("assets/Image/a.png", True),
        ("asset/demo/Image/2026-01-01/a.png", True),
        ("feature/demo/Subject/Look/asset/Image/a.png", True),
        ("assets/Image/b.png", False),
        ("assets/Report/a.png", False),
        ("a.png", False),
    ],
)
def test_a_registered_file_is_there_where_files_of_its_table_lie(path, is_there):
    seen = evidence(0, Entry(path, 1, 0, 1, 1)).seen
    registered = Sources(workspace={"Image/a.png": Statement("deriva-ml's workspace", "Image")})

    assert missing_files(registered, seen) == ([] if is_there else ["assets/Image/a.png"])


def test_a_typed_asset_is_there_as_well():
    seen = evidence(0, Entry("execution-asset/Model_File/a.bin", 1, 0, 1, 1)).seen
    statement = Statement("the manifest", "Execution_Asset")
    said = Sources(manifest=Manifest({"Execution_Asset/a.bin": statement}, {}))

    assert missing_files(said, seen) == []


def test_what_is_recorded_already_is_not_waited_for():
    uploaded = Statement("the manifest", "Image", rid="1-AA", recorded=True)
    said = Sources(manifest=Manifest({"Image/a.png": uploaded}, {}))

    assert missing_files(said, evidence(0).seen) == []
    assert missing_files(Sources(), evidence(0).seen) == []


# ---------------------------------------------------------------------- the machine was restarted


def looked(looked_s=0.0, **more):
    """Return a look at a run, as the journal keeps it and as the next one finds it."""
    known = {"catalog": Since("Running", START), "row_changed": "t1", "boot": "here/1"} | more
    return evidence(looked_s, **known)


@pytest.mark.parametrize(
    ("later", "is_over"),
    [
        ({"boot": "here/2"}, True),
        ({"boot": "here/1"}, False),
        ({"boot": "there/2"}, False),
        ({"boot": None}, False),
        ({"boot": "here/2", "content": Since("other", START)}, False),
        ({"boot": "here/2", "row_changed": "t2"}, False),
        ({"boot": "here/2", "catalog": Since("Pending", START)}, False),
        ({"boot": "here/2", "workspace": Since("Running", START)}, False),
    ],
)
def test_what_nobody_touched_since_before_the_machine_started_has_no_writer(later, is_over):
    before = recorded(looked(7))

    assert unchanged_since_before_boot(before, looked(5000, **later)) == (
        at(7) if is_over else None
    )


def test_that_the_writer_is_gone_outlives_another_start_of_the_daemon():
    found = looked(5000, boot="here/2")
    second = recorded(
        looked(
            5010,
            boot="here/2",
            unchanged_since_before_boot=unchanged_since_before_boot(recorded(looked(7)), found),
        )
    )

    assert unchanged_since_before_boot(second, looked(6000, boot="here/2")) == at(7)
    assert (
        unchanged_since_before_boot(second, looked(6000, boot="here/2", row_changed="resumed"))
        is None
    )


def test_a_verdict_of_an_earlier_release_proves_nothing():
    assert (
        unchanged_since_before_boot({"digest": "digest", "why": "it is Running"}, looked(9)) is None
    )
    assert unchanged_since_before_boot(None, looked(9)) is None


def test_a_run_that_the_machine_took_along_is_not_waited_for():
    running = {"catalog": Since("Running", START), "unchanged_since_before_boot": at(-60)}

    answer = judged(30, **running)

    assert isinstance(answer, Complete)
    assert (
        "this machine was restarted, and nothing has changed since 2025-12-31 23:59:00 UTC"
        in answer.why
    )
    assert wait_s(judged(10, **running)) == 30  # quiet holds all the same
    held = Holders(frozenset({"a.png"}), HolderMethod.PROC)
    assert isinstance(judged(9999, holders=held, **running), Incomplete)


def test_statuses_that_are_not_trusted_neither_shorten_nor_forbid():
    policy = CompletionPolicy(trust_status=False)

    assert wait_s(judged(0, policy=policy, catalog=Since("Failed", START))) == 30
    assert isinstance(judged(30, policy=policy, catalog=Since("Running", START)), Complete)


@pytest.mark.parametrize("word", ["Uploaded", "Created", "Pending", "anything"])
def test_other_statuses_are_no_word(word):
    assert wait_s(judged(0, catalog=Since(word, START))) == 30
    assert isinstance(judged(30, catalog=Since(word, START)), Complete)


@pytest.mark.parametrize("source", ["workspace", "catalog"])
def test_the_upload_of_another_program_is_waited_for(source):
    status = {source: Since("Pending_Upload", START)}

    assert wait_s(judged(100, **status)) == 130
    assert "another program is uploading it" in judged(100, **status).why
    assert wait_s(judged(3590, **status)) == 3600
    assert isinstance(judged(3600, **status), Complete)


def test_our_own_pending_upload_holds_nothing():
    answer = judged(30, catalog=Since("Pending_Upload", START), ours="Pending_Upload")

    assert isinstance(answer, Complete)


@pytest.mark.parametrize(
    ("source", "name"), [("workspace", "deriva-ml's workspace"), ("catalog", "the catalog")]
)
def test_an_aborted_run_is_never_uploaded_by_itself(source, name):
    answer = judged(100_000, FILE, marker(), **{source: Since("Aborted", START)})

    assert isinstance(answer, Refuse)
    assert answer.what == "execution 1-ABC is not uploaded"
    assert answer.why == f"{name} says that it was aborted"
    assert "deriva-watch retry 1-ABC" in answer.next


def test_an_aborted_run_is_uploaded_when_a_person_insists():
    answer = judged(30, catalog=Since("Aborted", START), requested=True)

    assert isinstance(answer, Complete)


def test_the_last_hold_to_end_is_the_reason_and_the_time():
    changed = Since("digest", at(50))

    answer = judged(52, content=changed, catalog=Since("Stopped", START))

    assert wait_s(answer) == 60
    assert "may upload the files itself" in answer.why


def test_the_evidence_can_be_written_as_json():
    held = Holders(frozenset({"no\udcff utf-8"}), HolderMethod.LEASE)

    answer = judged(10, FILE, marker(), holders=held, workspace=Since("Stopped", START))

    stored = json.loads(json.dumps(answer.evidence).encode())
    assert stored["open"] == ["no\\xff utf-8"]
    assert stored["marker"] == ".complete"
    assert stored["holders"] == "lease"
    assert stored["status"] == {"workspace": {"is": "Stopped", "since": START.isoformat()}}
    assert (stored["quiet_s"], stored["quiet_needed_s"]) == (10, 5)


def test_a_value_keeps_the_time_of_its_first_look():
    first = still(None, "a", at(0))

    assert still(first, "a", at(10)) == Since("a", at(0))
    assert still(first, "b", at(10)) == Since("b", at(10))


def test_a_clock_that_was_set_back_starts_again():
    assert still(Since("a", at(3600)), "a", at(0)) == Since("a", at(0))


WORDS = st.sampled_from([None, "Running", "Stopped", "Completed", "Failed", "Pending_Upload"])


@given(
    looked_s=st.integers(0, 10_000),
    changed_s=st.integers(0, 10_000),
    word=WORDS,
    method=st.sampled_from(HolderMethod),
    marked=st.booleans(),
)
def test_looking_again_when_told_comes_to_an_end(looked_s, changed_s, word, method, marked):
    """Nothing changes any more: each further look is later, and the last one says complete."""
    policy = CompletionPolicy(max_running_s=1000, foreign_upload_cap_s=1000)
    files = (FILE, marker()) if marked else (FILE,)
    since = min(looked_s, changed_s)
    known = {
        "content": Since("digest", at(since)),
        "holders": Holders(frozenset(), method),
        "catalog": Since(word, at(since)) if word else None,
    }
    for _ in range(60):
        answer = judged(looked_s, *files, policy=policy, **known)
        if isinstance(answer, Complete):
            break
        assert wait_s(answer) > looked_s
        looked_s = wait_s(answer)

    assert isinstance(answer, Complete)
    assert looked_s >= since + 5
