"""What the journal makes of a hold, whatever the state of what is held."""

from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.states import (
    EXECUTION_TRANSITIONS,
    ExecutionState,
    ExecutionTrigger,
    FileState,
    FileTrigger,
)
from deriva_watch.edges.journal import Journal

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CANCELLED = Hold(HoldKind.CANCELLED, "alice", NOW, "wrong samples")
PAUSED = Hold(HoldKind.PAUSED, "bob", NOW, until=NOW + timedelta(hours=2))
STATES = list(ExecutionState)
TRIGGER, STATE = ExecutionTrigger, ExecutionState
ROADS = {  # how an execution comes to each state
    STATE.FILLING: [],
    STATE.READY: [TRIGGER.COMPLETED],
    STATE.UPLOADING: [TRIGGER.COMPLETED, TRIGGER.CLAIMED],
    STATE.WAITING: [TRIGGER.COMPLETED, TRIGGER.CLAIMED, TRIGGER.DEFERRED],
    STATE.UPLOADED: [TRIGGER.COMPLETED, TRIGGER.CLAIMED, TRIGGER.FINISHED],
    STATE.REFUSED: [TRIGGER.REFUSED],
    STATE.GONE: [TRIGGER.REMOVED],
}


@pytest.fixture
def journal(tmp_path):
    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=lambda _: None) as it:
        yield it


def execution(journal, state):
    """Return the number of an execution that is in *state*."""
    number = journal.open_execution("example.org/1", "/data", f"4-{state}").id
    for trigger in ROADS[state]:
        facts = {"next_at": NOW} if trigger is TRIGGER.DEFERRED else {}
        journal.commit([MoveExecution(number, trigger, facts)])
    return number


def test_a_hold_is_kept_as_it_was_given():
    for hold in (CANCELLED, PAUSED):
        assert Hold.of(hold.document()) == hold
    assert Hold.of(None) is None


def test_a_hold_says_who_why_until_when_and_what_ends_it():
    assert CANCELLED.sentence("1-AAAA", "a b.txt") == {
        "what": "cancelled by alice",
        "why": "wrong samples",
        "next": "`deriva-watch retry 1-AAAA 'a b.txt'` undoes this.",
    }
    assert PAUSED.sentence()["why"] == "no reason was given (until 2026-03-01 14:00 UTC)"
    assert PAUSED.sentence()["next"] == "`deriva-watch resume` ends the pause."


@pytest.mark.parametrize(
    ("hold", "ends"),
    [
        (
            CANCELLED,
            {
                **dict.fromkeys(STATES, STATE.REFUSED),
                STATE.UPLOADING: STATE.UPLOADING,
                STATE.UPLOADED: STATE.UPLOADED,
                STATE.GONE: STATE.GONE,
            },
        ),
        (PAUSED, {**{state: state for state in STATES}, STATE.READY: STATE.WAITING}),
    ],
    ids=["cancelled", "paused"],
)
def test_an_execution_that_is_held_goes_where_its_hold_says(journal, hold, ends):
    """A worker that has it puts it down by itself; twice is once."""
    for state in STATES:
        number = execution(journal, state)
        for _ in range(2):
            journal.hold(number, hold)

        record = journal.execution(number)
        assert record.state is ends[state], state
        if record.state is STATE.REFUSED and hold is CANCELLED:
            assert (record.what, record.why) == ("cancelled by alice", "wrong samples")
        if record.state is STATE.WAITING:
            assert (record.what, record.next_at) == ("paused by bob", None)


@pytest.mark.parametrize("hold", [CANCELLED, PAUSED], ids=["cancelled", "paused"])
@pytest.mark.parametrize("trigger", list(EXECUTION_TRANSITIONS[STATE.UPLOADING]))
def test_however_a_worker_ends_a_held_execution_is_never_taken_again(journal, hold, trigger):
    number = execution(journal, STATE.UPLOADING)
    journal.hold(number, hold)
    facts = {"next_at": NOW, "basis": "x"} if trigger is TRIGGER.DEFERRED else {"basis": "x"}

    journal.commit([MoveExecution(number, trigger, facts)])

    record = journal.execution(number)
    if record.state is STATE.FILLING:  # paused, and changed meanwhile
        journal.commit([MoveExecution(number, TRIGGER.COMPLETED)])
    assert journal.claim() is None
    assert journal.due(NOW) == []
    if trigger is TRIGGER.FINISHED:
        assert record.state is STATE.UPLOADED
        assert bool(record.held) is (hold is PAUSED)  # it came too late
    elif hold is CANCELLED and trigger is not TRIGGER.REMOVED:
        assert (record.state, record.what) == (STATE.REFUSED, "cancelled by alice")
        assert record.basis is None  # no changed cause takes it up again


@pytest.mark.parametrize("hold", [CANCELLED, PAUSED], ids=["cancelled", "paused"])
def test_what_a_dead_daemon_had_is_held_all_the_same(journal, hold):
    number = execution(journal, STATE.UPLOADING)
    journal.hold(number, hold)

    journal.void_claims()

    assert journal.execution(number).state in {STATE.WAITING, STATE.REFUSED}
    assert journal.claim() is None


def test_an_execution_that_is_let_go_goes_on_where_it_was(journal):
    """Also where a worker puts it down at that moment, and twice is once."""
    for state in STATES:
        number = execution(journal, state)
        journal.hold(number, PAUSED)
        for _ in range(2):
            journal.release(number, HoldKind.PAUSED)

        record = journal.execution(number)
        expected = STATE.READY if state is STATE.WAITING else state
        assert (record.state, record.held) == (expected, None), state

    number = execution(journal, STATE.FILLING)
    journal.hold(number, PAUSED)
    journal.commit([MoveExecution(number, TRIGGER.COMPLETED)])
    assert journal.execution(number).state is STATE.WAITING
    journal.release(number, HoldKind.PAUSED)
    assert journal.execution(number).state is STATE.READY


def test_what_is_cancelled_is_filling_again_once_it_is_let_go(journal):
    number = execution(journal, STATE.READY)
    journal.hold(number, CANCELLED)

    journal.release(number, HoldKind.PAUSED)
    assert journal.execution(number).state is STATE.REFUSED
    journal.release(number, HoldKind.CANCELLED, {"attempts": 0})
    assert journal.execution(number).state is STATE.FILLING


@pytest.mark.parametrize("state", [s for s in FileState if s is not FileState.REMOVED])
@pytest.mark.parametrize("taken", [False, True], ids=["at rest", "a worker has it"])
def test_a_file_is_cancelled_unless_the_catalog_has_it(journal, state, taken):
    number = execution(journal, STATE.READY)
    [file] = journal.commit([AddFile(number, "a.txt", {})])
    roads = {
        FileState.FOUND: [],
        FileState.HASHED: [FileTrigger.HASHED],
        FileState.STORED: [FileTrigger.HASHED, FileTrigger.STORED],
        FileState.RECORDED: [FileTrigger.HASHED, FileTrigger.RECORDED],
        FileState.LINKED: [FileTrigger.HASHED, FileTrigger.RECORDED, FileTrigger.LINKED],
        FileState.IGNORED: [FileTrigger.IGNORED],
        FileState.UNMATCHED: [FileTrigger.UNMATCHED],
        FileState.REFUSED: [FileTrigger.REFUSED],
        FileState.GONE: [FileTrigger.VANISHED],
        FileState.ELSEWHERE: [FileTrigger.FOREIGN],
    }
    journal.commit([MoveFile(file, trigger) for trigger in roads[state]])
    if taken:
        journal.claim()

    assert journal.hold_file(number, "a.txt", CANCELLED)

    [record] = journal.files(number)
    undone = {FileState.FOUND, FileState.HASHED, FileState.STORED}
    if state in undone and not taken:
        assert (record.state, record.what) == (FileState.REFUSED, "cancelled by alice")
    else:
        assert record.state is state
    if state in undone | {FileState.REFUSED}:
        assert journal.held_files() == [record]
    if state in {FileState.RECORDED, FileState.LINKED, FileState.ELSEWHERE}:
        assert record.held is None


def test_a_file_that_the_catalog_has_by_then_is_held_no_longer(journal):
    number = execution(journal, STATE.UPLOADING)
    [file] = journal.commit([AddFile(number, "a.txt", {})])
    journal.hold_file(number, "a.txt", CANCELLED)

    journal.commit([MoveFile(file, FileTrigger.HASHED), MoveFile(file, FileTrigger.RECORDED)])

    assert journal.held_files() == []


def test_a_file_that_no_attempt_has_seen_is_cancelled_at_once_or_once_a_worker_knows_it(journal):
    at_rest, taken = execution(journal, STATE.READY), execution(journal, STATE.UPLOADING)

    assert journal.hold_file(at_rest, "a.txt", CANCELLED)
    assert not journal.hold_file(taken, "a.txt", CANCELLED)

    [record] = journal.files(at_rest)
    assert (record.state, record.what) == (FileState.REFUSED, "cancelled by alice")
    assert journal.files(taken) == []


def test_a_pause_of_everything_is_kept_until_it_ends(journal):
    assert journal.paused() is None

    journal.pause(CANCELLED)
    journal.pause(PAUSED)
    assert journal.paused() == PAUSED
    journal.pause(None)
    assert journal.paused() is None
