# ruff: noqa: D102 - a rule's name is a sentence
"""Any order of additions, moves (also illegal ones), claims, crashes, while time goes on and back.

Beside the real journal stands a model of it: the tables of `core.states`, and a list of all that
was told.
"""

import os
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile, NoteExecution, NoteFile
from deriva_watch.core.errors import IllegalTransitionError
from deriva_watch.core.states import (
    EXECUTION_TRANSITIONS,
    FILE_TRANSITIONS,
    ExecutionState,
    ExecutionTrigger,
    FileState,
    FileTrigger,
)
from deriva_watch.edges.journal import Journal, open_readonly

SERVER, PREFIX = "example.org/1", "/data"
PASSES, JUMPS = timedelta(seconds=5), timedelta(days=1)
UNSAID = {"what": None, "why": None, "next": None}


@cache
def empty():
    """Return the bytes of a journal in which nothing is yet: migrations take most of a run."""
    with tempfile.TemporaryDirectory() as folder:
        Journal.open(f"sqlite:///{folder}/journal.db", emit=lambda _: None).close()
        return Path(folder, "journal.db").read_bytes()


class Turned:
    """A clock that a test turns, also back."""

    def __init__(self):
        self.time = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self):
        return self.time


class JournalMachine(RuleBasedStateMachine):
    """The journal beside a model: where each execution and file stands, and every event."""

    executions = Bundle("executions")
    files = Bundle("files")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{self.folder.name}/journal.db"
        self.clock, self.events = Turned(), []
        self.execution_states, self.file_states = {}, {}
        self.said, self.since = {}, {}  # of executions: their sentences and times, when they moved
        Path(self.folder.name, "journal.db").write_bytes(empty())
        self.start()
        self.reader = open_readonly(self.url)

    def start(self):
        self.journal = Journal.open(self.url, emit=self.events.append, clock=self.clock)

    def teardown(self):
        self.journal.close()
        self.folder.cleanup()

    def moved(self, execution, state, **said):
        """Note where an execution is, and what was said with its last move."""
        self.execution_states[execution] = state
        self.said[execution] = {**UNSAID, "next_at": None, **said}
        self.since[execution] = self.clock.now()

    # ------------------------------------------------------------ what comes in

    @initialize(target=executions)
    def one_execution(self):
        """What draws from an empty bundle ends a run before it has begun."""
        return self.open_execution("1-AA")

    @initialize(target=files)
    def one_file(self):
        return self.add_file(self.open_execution("1-AA"))

    @rule(target=executions, rid=st.sampled_from(["1-AA", "1-AB", "1-AC"]))
    def open_execution(self, rid):
        record = self.journal.open_execution(SERVER, PREFIX, rid)
        if record.id not in self.execution_states:
            self.moved(record.id, ExecutionState.FILLING)
        return record.id

    @rule(target=files, execution=executions)
    def add_file(self, execution):
        count = len(self.file_states)
        [number] = self.journal.commit([AddFile(execution, f"f{count}", {"size_bytes": count})])
        self.file_states[number] = FileState.FOUND
        return number

    # ------------------------------------------------------------ moves

    @rule(execution=executions, data=st.data())
    def move(self, execution, data):
        """An execution goes on by one of its roads."""
        roads = EXECUTION_TRANSITIONS[self.execution_states[execution]]
        trigger = data.draw(st.sampled_from(sorted(roads)))
        state = roads[ExecutionTrigger(trigger)]
        self.journal.commit([MoveExecution(execution, trigger, self.facts(state))])
        self.moved(execution, state, **self.facts(state))

    @rule(file=files, data=st.data())
    def move_a_file(self, file, data):
        """A file goes on by one of its roads."""
        roads = FILE_TRANSITIONS[self.file_states[file]]
        trigger = data.draw(st.sampled_from(sorted(roads)))
        self.journal.commit([MoveFile(file, trigger)])
        self.file_states[file] = roads[FileTrigger(trigger)]

    @rule(
        files=st.lists(st.tuples(files, st.sampled_from(FileTrigger)), min_size=1, max_size=4),
        executions=st.lists(st.tuples(executions, st.sampled_from(ExecutionTrigger)), max_size=1),
    )
    def commit_anything(self, files, executions):
        """All moves happen, or, where one is illegal, none."""
        file_states, after = dict(self.file_states), {}
        moves = [MoveFile(*move) for move in files]
        try:
            for number, trigger in files:
                file_states[number] = FILE_TRANSITIONS[file_states[number]][trigger]
            for number, trigger in executions:
                after[number] = EXECUTION_TRANSITIONS[self.execution_states[number]][trigger]
        except KeyError:
            legal = False
        else:
            legal, self.file_states = True, file_states
            for number, state in after.items():
                self.moved(number, state, **self.facts(state))
        moves += [MoveExecution(n, t, self.facts(after.get(n))) for n, t in executions]

        try:
            self.journal.commit(moves)
        except IllegalTransitionError:
            assert not legal
        else:
            assert legal

    @rule(moves=st.lists(st.tuples(files, st.sampled_from(FileTrigger)), min_size=1, max_size=6))
    def submit_anything(self, moves):
        """Each move is a request of its own; those that are legal by then happen, in order."""
        answers = [self.journal.submit([MoveFile(*move)]) for move in moves]
        for (number, trigger), answer in zip(moves, answers, strict=True):
            state = FILE_TRANSITIONS[self.file_states[number]].get(trigger)
            if state is None:
                assert isinstance(answer.exception(), IllegalTransitionError)
            else:
                assert answer.result() == [number]
                self.file_states[number] = state

    def facts(self, state):
        """Return what is said with a move to *state*: whoever waits has a time, and a reason."""
        if state is not ExecutionState.WAITING:
            return {}
        return {"next_at": self.clock.now() + PASSES, "why": "it is busy"}

    @rule(execution=executions)
    def note(self, execution):
        """A note moves nothing and tells nothing."""
        self.journal.commit([NoteExecution(execution, {"attempts": 3})])

    @rule(file=files, size_bytes=st.integers(0, 9))
    def note_a_size(self, file, size_bytes):
        self.journal.commit([NoteFile(file, {"size_bytes": size_bytes})])

    # ------------------------------------------------------------ claims

    @rule()
    def claim(self):
        """The one that is ready for longest, by the clock as it was."""
        ready = [i for i, s in self.execution_states.items() if s is ExecutionState.READY]
        claim = self.journal.claim()
        assert (claim and claim.id) == min(ready, key=lambda i: (self.since[i], i), default=None)
        if claim:
            self.moved(claim.id, ExecutionState.UPLOADING)

    @rule()
    def crash(self):
        """What a dead daemon held is ready again; nothing else has moved."""
        self.journal.close()
        self.start()
        left = [i for i, s in self.execution_states.items() if s is ExecutionState.UPLOADING]
        assert self.journal.void_claims() == sorted(left)
        for number in left:
            self.moved(number, ExecutionState.READY)

    # ------------------------------------------------------------ time

    @rule(seconds=st.integers(0, 10))
    def time_passes(self, seconds):
        self.clock.time += timedelta(seconds=seconds)

    @rule(by=st.sampled_from([JUMPS, -JUMPS]))
    def the_clock_is_set(self, by):
        self.clock.time += by

    @precondition(lambda self: ExecutionState.WAITING in self.execution_states.values())
    @rule()
    def what_is_due_goes_on(self):
        """And what is not due does not."""
        now = self.clock.now()
        due = [record.id for record in self.journal.due(now)]
        times = {number: said["next_at"] for number, said in self.said.items()}
        assert set(due) == {number for number, at in times.items() if at and at <= now}
        self.journal.commit([MoveExecution(number, ExecutionTrigger.DUE) for number in due])
        for number in due:
            self.moved(number, ExecutionState.READY)

    # ------------------------------------------------------------ what always holds

    @invariant()
    def all_of_it_agrees(self):
        seen = Seen(self.journal)
        self.everything_stands_where_the_tables_lead(seen)
        self.every_line_of_history_is_a_road_and_follows_the_one_before(seen)
        self.every_line_has_its_event_and_no_event_lacks_a_line(seen)
        self.whoever_waits_has_a_time_and_nobody_else_has(seen)
        self.the_counts_are_those_of_the_files(seen)
        self.whoever_looks_from_outside_sees_the_same(seen)

    def everything_stands_where_the_tables_lead(self, seen):
        assert {number: e.state for number, e in seen.executions.items()} == self.execution_states
        assert {number: f.state for number, f in seen.files.items()} == self.file_states

    def every_line_of_history_is_a_road_and_follows_the_one_before(self, seen):
        states = {}
        for line in seen.lines:
            who = line.execution_id, line.file_id
            assert line.before == states.get(who)
            table = FILE_TRANSITIONS if line.file_id else EXECUTION_TRANSITIONS
            entry = FileState.FOUND if line.file_id else ExecutionState.FILLING
            assert line.after == (table[line.before][line.trigger] if line.before else entry)
            states[who] = line.after

    def every_line_has_its_event_and_no_event_lacks_a_line(self, seen):
        told = [
            (e.execution, getattr(e, "path", None), e.trigger, e.before, e.state)
            for e in self.events
        ]
        rids = {number: e.rid for number, e in seen.executions.items()}
        paths = {number: f.path for number, f in seen.files.items()}
        assert told == [
            (
                rids[line.execution_id],
                paths.get(line.file_id),
                line.trigger,
                line.before,
                line.after,
            )
            for line in seen.lines
        ]

    def whoever_waits_has_a_time_and_nobody_else_has(self, seen):
        for number, record in seen.executions.items():
            said = {name: getattr(record, name) for name in (*UNSAID, "next_at")}
            assert said == self.said[number]
            assert (record.next_at is not None) == (record.state is ExecutionState.WAITING)

    def the_counts_are_those_of_the_files(self, seen):
        counted = defaultdict(Counter)
        for file in seen.files.values():
            counted[file.execution_id, file.state] += Counter(files=1, bytes=file.size_bytes)
        told = {
            (number, state): Counter(amount._asdict())
            for number, amounts in self.journal.amounts(seen.executions).items()
            for state, amount in amounts.items()
            if amount.files
        }
        assert told == counted

    def whoever_looks_from_outside_sees_the_same(self, seen):
        assert Seen(self.reader) == seen


class Seen:
    """All that a journal says."""

    def __init__(self, journal):
        self.executions = {record.id: record for record in journal.executions()}
        self.files = {f.id: f for number in self.executions for f in journal.files(number)}
        lines = [line for number in self.executions for line in journal.history(number)]
        self.lines = sorted(lines, key=lambda line: line.id)

    def __eq__(self, other):
        return vars(self) == vars(other)

    __hash__ = None


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(
    max_examples=300 if os.environ.get("SOAK") else 10,
    stateful_step_count=30,
    deadline=None,
)
