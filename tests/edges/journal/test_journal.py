"""What the journal promises to those who write to it and ask it."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, SimpleNamespace

import pytest

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile, NoteExecution, NoteFile
from deriva_watch.core.errors import IllegalTransitionError, TransientError
from deriva_watch.core.events import FileChanged
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger
from deriva_watch.edges.journal import Batch, Journal, writer
from looking import clock_at
from running import wait_until

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def events():
    return []


@pytest.fixture
def clock():
    return clock_at(NOW)


@pytest.fixture
def journal(tmp_path, events, clock):
    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=events.append, clock=clock) as it:
        yield it


@pytest.fixture
def execution(journal):
    return journal.open_execution("example.org/1", "/data", "4-AB2C")


def add(journal, execution, *paths):
    return journal.commit([AddFile(execution.id, path, {"size_bytes": 3}) for path in paths])


def ready(journal, rid):
    new = journal.open_execution("example.org/1", "/data", rid)
    journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
    return new.id


def test_a_new_execution_enters_filling_and_opening_it_again_changes_nothing(journal, events):
    new = journal.open_execution("example.org/1", "/data", "4-AB2C")
    again = journal.open_execution("example.org/1", "/data", "4-AB2C")

    assert again == new == journal.find("example.org/1", "/data", "4-AB2C")
    assert (new.state, new.changed_at) == (ExecutionState.FILLING, NOW)
    assert [event.name for event in events] == ["execution.filling"]
    assert len(journal.history(new.id)) == 1


def test_the_same_rid_below_another_prefix_or_for_another_catalog_is_another(journal):
    places = itertools.product(["example.org/1", "example.org/2"], ["/data", "/data2"])

    assert len({journal.open_execution(*place, "4-AB2C").id for place in places}) == 4


def test_a_move_changes_the_row_tells_history_and_sends_the_event(journal, events, execution):
    verdict = MappingProxyType({"rules": ["quiet"], "looked_at": NOW})
    facts = {"verdict": verdict, "digest": "abc"}

    journal.commit(
        [MoveExecution(execution.id, ExecutionTrigger.COMPLETED, facts, {"seconds": 2.5})]
    )

    found, line, event = (
        journal.execution(execution.id),
        journal.history(execution.id)[-1],
        events[-1],
    )
    assert (found.state, found.digest) == (ExecutionState.READY, "abc")
    assert found.verdict == {"rules": ["quiet"], "looked_at": NOW.isoformat()}
    assert (line.trigger, line.before, line.after) == ("completed", "filling", "ready")
    assert line.detail == {"verdict": found.verdict, "digest": "abc", "seconds": 2.5}
    assert (event.name, event.prefix, event.seconds) == ("execution.ready", "/data", 2.5)


def test_a_file_keeps_every_fact_and_its_event_has_them(journal, events, execution):
    content = {"size_bytes": 2**40, "mtime_ns": -1, "device": 2**64 - 1, "inode": 2**63}
    known = {"md5": "0" * 32, "sha256": "1" * 64, "table": "eye:Image", "statement": "s"}
    [number] = journal.commit([AddFile(execution.id, "a.tif", content)])

    journal.commit([MoveFile(number, FileTrigger.HASHED, known, seconds=0.5)])
    journal.commit([MoveFile(number, FileTrigger.STORED, {"url": "/hatrac/a:1"})])
    journal.commit([MoveFile(number, FileTrigger.ADOPTED, {"rid": "1-AA", "adopted": True})])

    [file] = journal.files(execution.id)
    assert {name: getattr(file, name) for name in content} == content
    assert (file.state, file.statement, file.adopted) == (FileState.RECORDED, "s", True)
    assert events[-1] == FileChanged(
        execution="4-AB2C",
        path="a.tif",
        state=FileState.RECORDED,
        before=FileState.STORED,
        trigger=FileTrigger.ADOPTED,
        table="eye:Image",
        size_bytes=2**40,
        md5="0" * 32,
        sha256="1" * 64,
        url="/hatrac/a:1",
        rid="1-AA",
    )
    assert events[-3].seconds == journal.history(execution.id)[-3].detail["seconds"] == 0.5


def test_a_sentence_and_a_time_last_until_the_next_move(journal):
    sentence = {"what": "cannot reach it", "why": "no answer", "next": "Nothing to do."}
    number = ready(journal, "1-AA")
    journal.claim()

    journal.commit([MoveExecution(number, ExecutionTrigger.DEFERRED, {**sentence, "next_at": NOW})])
    waiting = journal.execution(number)
    journal.commit([MoveExecution(number, ExecutionTrigger.DUE)])
    due = journal.execution(number)

    assert (waiting.what, waiting.next_at) == ("cannot reach it", NOW)
    assert (due.what, due.why, due.next, due.next_at) == (None,) * 4


def test_a_note_changes_facts_without_history_or_event(journal, events, execution):
    [number] = add(journal, execution, "a.tif")
    told = len(events), len(journal.history(execution.id))
    job = {"url": "/hatrac/a;upload/1", "chunks": [0, 1]}

    journal.commit([NoteFile(number, {"job": job}), NoteExecution(execution.id, {"attempts": 2})])

    assert journal.files(execution.id)[0].job == job
    assert journal.execution(execution.id).attempts == 2
    assert (len(events), len(journal.history(execution.id))) == told


def test_saying_nothing_is_fine(journal, execution):
    assert journal.commit([]) == []
    assert journal.commit([NoteExecution(execution.id, {})]) == [execution.id]


def test_changes_of_one_commit_follow_each_other(journal, events, execution):
    [number] = add(journal, execution, "a.tif")

    numbers = journal.commit(
        [
            MoveFile(number, FileTrigger.HASHED),
            AddFile(execution.id, "b.tif", {}),
            MoveFile(number, FileTrigger.STORED),
            MoveExecution(execution.id, ExecutionTrigger.COMPLETED),
        ]
    )

    assert numbers == [number, number + 1, number, execution.id]
    assert [event.name for event in events[2:]] == [
        *("file.hashed", "file.found", "file.stored"),
        "execution.ready",
    ]
    assert [line.after for line in journal.history(execution.id)[2:]] == [
        *("hashed", "found", "stored"),
        "ready",
    ]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (MoveFile(1, FileTrigger.LINKED), IllegalTransitionError),
        (MoveExecution(1, ExecutionTrigger.FINISHED), IllegalTransitionError),
        (MoveFile(99, FileTrigger.HASHED), KeyError),
        (NoteExecution(99, {"attempts": 1}), KeyError),
        (AddFile(99, "a.tif", {}), KeyError),
        (AddFile(1, "a.tif", {}), ValueError),
        (NoteFile(1, {"no_such_fact": 1}), TypeError),
        (NoteFile(1, {"job": {"chunks": {1, 2}}}), TypeError),
    ],
)
def test_one_bad_change_undoes_its_whole_commit(journal, events, execution, bad, error):
    add(journal, execution, "a.tif")
    told = list(events)

    with pytest.raises(error):
        journal.commit([MoveFile(1, FileTrigger.HASHED), AddFile(1, "b.tif", {}), bad])

    assert [file.state for file in journal.files(execution.id)] == [FileState.FOUND]
    assert len(journal.history(execution.id)) == 2
    assert events == told


@pytest.mark.parametrize(
    "path",
    [
        "two\nlines.tif",
        "'quote\" \\ ; -- %s {x} :y.tif",
        "latin-\udce9.tif",
        "\udcff" * 255,
        "\N{GRINNING FACE}.tif",
        "tab\tbell\a\x1b[31m.tif",
    ],
)
def test_any_name_that_linux_allows_comes_back_as_it_was(journal, events, path):
    new = journal.open_execution("example.org/1", f"/data/{path}", "1-AA")
    sentence = {"what": f"cannot store {path}"}
    [number] = journal.commit([AddFile(new.id, path, {})])
    journal.commit([MoveFile(number, FileTrigger.REFUSED, sentence)])

    [file] = journal.files(new.id)
    assert (file.path, events[-1].path) == (path, path)
    assert file.what.encode() == f"cannot store {path}".encode(errors="backslashreplace")
    assert journal.executions(prefix=f"/data/{path}") == [new]


def test_files_come_in_the_order_of_their_bytes(journal, execution):
    add(journal, execution, "b", "\udcff", "a/b", "Z", "é")

    assert [file.path for file in journal.files(execution.id)] == ["Z", "a/b", "b", "é", "\udcff"]


def test_the_execution_that_is_ready_for_longest_is_claimed_first(journal, clock):
    first, second = ready(journal, "1-AA"), ready(journal, "1-AB")
    clock.time += timedelta(microseconds=1)
    journal.commit([MoveExecution(first, ExecutionTrigger.CHANGED)])
    journal.commit([MoveExecution(first, ExecutionTrigger.COMPLETED)])

    claims = [journal.claim(), journal.claim(), journal.claim()]

    assert [claim and claim.id for claim in claims] == [second, first, None]
    assert claims[0] == journal.execution(second)
    assert claims[0].state is ExecutionState.UPLOADING


def test_nothing_is_claimed_of_prefixes_that_are_closed(journal):
    for prefix in ("/hung", "/well"):
        new = journal.open_execution("data.example.org/1", prefix, "1-ABC")
        journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])

    assert journal.claim(closed={"/hung"}).prefix == "/well"
    assert journal.claim(closed={"/hung"}) is None
    assert journal.claim().prefix == "/hung"


def test_no_execution_is_claimed_twice(journal):
    numbers = {ready(journal, f"1-{i}") for i in range(40)}
    claimed = []

    def work(_):
        while claim := journal.claim():
            claimed.append(claim.id)

    in_threads(8, work)

    assert sorted(claimed) == sorted(numbers)


def test_claims_of_a_dead_daemon_are_void(tmp_path, events):
    """An execution is left in UPLOADING; the next daemon gives it to its own workers."""
    url = f"sqlite:///{tmp_path}/journal.db"
    with Journal.open(url, emit=events.append) as journal:
        number = ready(journal, "1-AA")
        journal.claim()

    with Journal.open(url, emit=events.append) as journal:
        assert journal.claim() is None
        assert journal.void_claims() == [number]
        assert journal.void_claims() == []
        assert journal.claim().id == number
    assert [event.trigger for event in events[-2:]] == ["interrupted", "claimed"]


def test_waiting_executions_are_due_when_their_time_has_come(journal):
    numbers = [ready(journal, rid) for rid in ("1-AA", "1-AB", "1-AC")]
    for number, wait_s in zip(numbers, (2, 1, 3), strict=True):
        journal.claim()
        later = {"next_at": NOW + timedelta(seconds=wait_s)}
        journal.commit([MoveExecution(number, ExecutionTrigger.DEFERRED, later)])

    at = NOW + timedelta(seconds=2)
    assert [e.id for e in journal.due(at)] == [numbers[1], numbers[0]]

    set_back = NOW - timedelta(days=1)  # no wait is so long
    assert len(journal.due(set_back, latest=set_back + timedelta(hours=1))) == 3
    assert journal.due(NOW, latest=NOW + timedelta(hours=1)) == []


def test_holders_are_found_among_more_urls_than_one_statement_takes(journal, execution):
    numbers = add(journal, execution, *map(str, range(1200)))
    journal.commit([NoteFile(number, {"url": f"/hatrac/{number}:1"}) for number in numbers])
    urls = [f"/hatrac/{number}:1" for number in (*numbers, -1)]

    assert journal.holders(urls) == {
        url: {number} for url, number in zip(urls, numbers, strict=False)
    }
    assert journal.holders([]) == {}


def test_a_holder_of_which_the_same_is_said_may_be_left_out(journal, execution):
    numbers = add(journal, execution, "one", "other", "unsaid")
    for number, said in zip(numbers, ("this", "that", None), strict=True):
        journal.commit([NoteFile(number, {"url": "/hatrac/x:1", "statement": said})])

    assert journal.holders(["/hatrac/x:1"], unlike="this") == {"/hatrac/x:1": {*numbers[1:]}}


def test_executions_are_chosen_by_state_prefix_and_name(journal, execution):
    other = journal.open_execution("example.org/1", "/other", "4-AB2C")
    number = ready(journal, "1-AA")

    assert [e.id for e in journal.executions({ExecutionState.READY})] == [number]
    assert [e.id for e in journal.executions(prefix="/other")] == [other.id]
    assert [e.id for e in journal.executions(rid="4-AB2C")] == [execution.id, other.id]
    assert len(journal.executions()) == 3
    assert journal.executions(set()) == []


def test_a_batch_is_there_with_all_its_files_and_ready_or_not_at_all(journal, events):
    batch = Batch("example.org/1", "/drop", "batch-1", "batch")
    stamp = {"size_bytes": 1, "mtime_ns": 2, "device": 3, "inode": 4}

    made = journal.open_batch(batch, {"a": stamp, "b": stamp}, {"digest": "d"})

    assert (made.state, made.unit, made.digest) == (ExecutionState.READY, "batch", "d")
    assert journal.members("example.org/1", "/drop") == {"batch-1": {"a", "b"}}
    with pytest.raises(ValueError, match="there is a batch-1 already"):
        journal.open_batch(batch, {"c": stamp}, {})
    assert [file.path for file in journal.files(made.id)] == ["a", "b"]
    names = ["execution.filling", "file.found", "file.found", "execution.ready"]
    assert [event.name for event in events] == names


def test_a_large_batch_is_whole(journal, events):
    batch, stamp = Batch("example.org/1", "/drop", "batch-1", "batch"), {"size_bytes": 1}

    made = journal.open_batch(batch, {f"{n:04}": stamp for n in range(4001)}, {})

    assert [file.path for file in journal.files(made.id)] == [f"{n:04}" for n in range(4001)]
    assert len(events) == len(journal.history(made.id)) == 4003


def test_a_unit_is_found_by_its_name_and_by_the_rid_of_its_execution(journal):
    unit = journal.open_execution("example.org/1", "/drop", "run 1", "directory")
    assert unit.links_to is None

    journal.commit([NoteExecution(unit.id, {"execution_rid": "4-AB2C"})])

    [by_name], [by_rid] = journal.executions(rid="run 1"), journal.executions(rid="4-AB2C")
    assert by_name == by_rid
    assert (by_rid.rid, by_rid.unit, by_rid.links_to) == ("run 1", "directory", "4-AB2C")


def test_times_keep_their_microseconds_and_their_instant(journal, execution):
    elsewhere = NOW.astimezone(None).replace(microsecond=1)
    journal.commit([NoteExecution(execution.id, {"next_at": elsewhere})])

    found = journal.execution(execution.id).next_at

    assert (found, found.utcoffset()) == (elsewhere, timedelta(0))


def test_what_many_threads_commit_at_once_is_all_there(journal, events, execution):
    """Eight threads, each with files of its own: every move has its line and its event."""

    def work(name):
        for number in add(journal, execution, *(f"{name}/{i}" for i in range(10))):
            journal.commit([MoveFile(number, FileTrigger.HASHED)])
            journal.commit([MoveFile(number, FileTrigger.STORED)])

    in_threads(8, work)

    files, lines = journal.files(execution.id), journal.history(execution.id)
    assert {file.state for file in files} == {FileState.STORED}
    assert len(files) == 80
    assert len(lines) == len(events) == 1 + 3 * 80
    assert [line.after for line in lines] == [event.state for event in events]


@pytest.mark.parametrize("last", [FileTrigger.HASHED, FileTrigger.LINKED])
def test_commits_that_wait_are_written_together_and_a_bad_one_spoils_no_other(tmp_path, last):
    """An event holds the writer while eight commits queue up; the last may be illegal."""
    gate, days = threading.Event(), itertools.count()
    clock = SimpleNamespace(now=lambda: NOW + timedelta(days=next(days)))
    with (
        Journal.open(
            f"sqlite:///{tmp_path}/journal.db", emit=lambda _: gate.wait(), clock=clock
        ) as journal,
        ThreadPoolExecutor(9) as pool,
    ):
        gate.set()
        execution = journal.open_execution("example.org/1", "/data", "4-AB2C")
        numbers = add(journal, execution, *map(str, range(9)))
        gate.clear()

        triggers = [FileTrigger.HASHED] * 8 + [last]
        moves = zip(numbers, triggers, strict=True)
        commits = [pool.submit(journal.commit, [MoveFile(*next(moves))])]
        wait_until(lambda: journal.files(execution.id)[0].state is FileState.HASHED)
        commits += [pool.submit(journal.commit, [MoveFile(*move)]) for move in moves]
        wait_until(lambda: len(journal._writer._requests) == 8)
        gate.set()

        assert [commit.result() for commit in commits[:8]] == [[i] for i in numbers[:8]]
        if last is FileTrigger.HASHED:
            assert len({file.changed_at for file in journal.files(execution.id)}) == 2
        else:
            assert isinstance(commits[8].exception(), IllegalTransitionError)


@pytest.fixture
def patient(monkeypatch):
    """The writer waits for an hour for further requests, as it does for 50 ms under load."""
    monkeypatch.setattr(writer, "TOGETHER_S", 3600)


@pytest.mark.usefixtures("patient")
def test_what_is_submitted_while_the_journal_is_idle_is_written_at_once(journal):
    first = journal.submit([])
    wait_until(first.done)  # nobody asks for its result

    assert not journal.submit([]).done()


@pytest.mark.usefixtures("patient")
def test_under_load_submitted_changes_wait_for_others_until_somebody_waits_for_them(
    journal, execution
):
    first = [journal.submit([AddFile(execution.id, str(i), {})]) for i in range(100)]
    assert not any(each.done() for each in first)
    assert journal.files(execution.id) == []

    assert [each.result() for each in first[-1:]] == [[100]]
    assert [each.result() for each in first] == [[i] for i in range(1, 101)]
    assert len({file.changed_at for file in journal.files(execution.id)}) == 1


@pytest.mark.usefixtures("patient")
def test_so_many_changes_wait_no_longer(journal, execution):
    some = [journal.submit([AddFile(execution.id, str(i), {})]) for i in range(writer.TOGETHER - 1)]
    more = journal.submit([AddFile(execution.id, "last", {})])

    wait_until(more.done)
    assert all(each.done() for each in some)


@pytest.mark.usefixtures("patient")
def test_a_commit_takes_what_was_submitted_before_with_it(journal, execution):
    added = journal.submit([AddFile(execution.id, "a.tif", {})])
    journal.submit([MoveFile(1, FileTrigger.HASHED)])

    assert journal.commit([MoveFile(1, FileTrigger.STORED)]) == added.result() == [1]
    assert journal.files(execution.id)[0].state is FileState.STORED


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("bad", range(9))
def test_a_submitted_request_that_fails_fails_alone(journal, events, execution, bad):
    numbers = add(journal, execution, *map(str, range(9)))
    triggers = [FileTrigger.HASHED] * 9
    triggers[bad] = FileTrigger.LINKED
    told = len(events)

    moves = zip(numbers, triggers, strict=True)
    submitted = [journal.submit([MoveFile(*move)]) for move in moves]

    assert isinstance(submitted[bad].exception(), IllegalTransitionError)
    fine = [i for i in range(9) if i != bad]
    assert [submitted[i].result() for i in fine] == [[numbers[i]] for i in fine]
    assert [event.path for event in events[told:]] == [str(i) for i in fine]


def test_a_submitted_change_cannot_be_taken_back(journal, execution):
    added = journal.submit([AddFile(execution.id, "a.tif", {})])

    assert not added.cancel()
    assert added.result() == [1]


@pytest.mark.parametrize("error", [BrokenPipeError, SystemExit])
def test_an_event_that_cannot_be_sent_is_reported_and_undoes_nothing(tmp_path, monkeypatch, error):
    reported = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def emit(event):
        raise error(event.name)

    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=emit) as journal:
        new = journal.open_execution("example.org/1", "/data", "4-AB2C")
        number = ready(journal, "1-AA")

        assert journal.execution(new.id) == new
        assert journal.execution(number).state is ExecutionState.READY
    assert {bug.exc_type for bug in reported} == {error}


def test_a_closed_journal_takes_nothing_and_may_be_closed_again(journal):
    journal.close()
    journal.close()

    with pytest.raises(TransientError, match=r"cannot write the journal .*: it is closed"):
        journal.claim()
    assert isinstance(journal.submit([]).exception(), TransientError)


def test_closing_writes_what_waits(tmp_path, events):
    gate = threading.Event()

    def emit(event):
        gate.wait()
        events.append(event)

    journal = Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=emit)
    with ThreadPoolExecutor(9) as pool:
        places = [("example.org/1", "/data", f"1-{i}") for i in range(8)]
        opened = [pool.submit(journal.open_execution, *place) for place in places]
        wait_until(lambda: len(journal.executions()) + len(journal._writer._requests) == 8)
        closing = pool.submit(journal.close)
        gate.set()
        closing.result()

    assert len({commit.result().id for commit in opened}) == len(events) == 8


@pytest.mark.usefixtures("patient")
def test_closing_writes_what_was_submitted(tmp_path, events):
    journal = Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=events.append)
    execution = journal.open_execution("example.org/1", "/data", "4-AB2C")
    added = journal.submit([AddFile(execution.id, "a.tif", {})])
    journal.close()

    assert added.done()
    assert added.result() == [1]


def in_threads(count, work):
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work, index) for index in range(count)]:
            done.result()
