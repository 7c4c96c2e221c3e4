# ruff: noqa: D102 - a rule's name is a sentence
"""Any order of additions, moves (also illegal ones), claims and restarts."""

import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from deriva_watch.core.errors import IllegalTransitionError
from deriva_watch.core.records import AddFile, MoveExecution, MoveFile
from deriva_watch.core.states import (
    EXECUTION_TRANSITIONS,
    FILE_TRANSITIONS,
    ExecutionState,
    ExecutionTrigger,
    FileState,
    FileTrigger,
)
from deriva_watch.edges.journal import Journal


class JournalMachine(RuleBasedStateMachine):
    """The journal beside a model: the state of each execution and file, and every event."""

    executions = Bundle("executions")
    files = Bundle("files")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.execution_states, self.file_states, self.events = {}, {}, []
        self.start()

    def start(self):
        url = f"sqlite:///{self.folder.name}/journal.db"
        self.journal = Journal.open(url, emit=self.events.append)

    def teardown(self):
        self.journal.close()
        self.folder.cleanup()

    @rule(target=executions, rid=st.sampled_from(["1-AA", "1-AB", "1-AC"]))
    def open_execution(self, rid):
        record = self.journal.open_execution("example.org/1", "/data", rid)
        self.execution_states.setdefault(record.id, ExecutionState.FILLING)
        return record.id

    @rule(target=files, execution=executions)
    def add_file(self, execution):
        [number] = self.journal.commit([AddFile(execution, f"f{len(self.file_states)}", {})])
        self.file_states[number] = FileState.FOUND
        return number

    @rule(
        files=st.lists(st.tuples(files, st.sampled_from(FileTrigger)), min_size=1, max_size=4),
        executions=st.lists(st.tuples(executions, st.sampled_from(ExecutionTrigger)), max_size=1),
    )
    def commit(self, files, executions):
        """All moves happen, or, where one is illegal, none."""
        file_states, execution_states = dict(self.file_states), dict(self.execution_states)
        try:
            for number, trigger in files:
                file_states[number] = FILE_TRANSITIONS[file_states[number]][trigger]
            for number, trigger in executions:
                state = execution_states[number]
                execution_states[number] = EXECUTION_TRANSITIONS[state][trigger]
        except KeyError:
            legal = False
        else:
            legal = True
            self.file_states, self.execution_states = file_states, execution_states
        moves = [MoveFile(*move) for move in files]
        moves += [MoveExecution(*move) for move in executions]

        try:
            self.journal.commit(moves)
        except IllegalTransitionError:
            assert not legal
        else:
            assert legal

    @rule()
    def claim(self):
        ready = {i for i, s in self.execution_states.items() if s is ExecutionState.READY}
        claim = self.journal.claim()
        assert (claim is not None) == bool(ready)
        if claim:
            assert claim.id in ready
            self.execution_states[claim.id] = ExecutionState.UPLOADING

    @rule()
    def restart(self):
        self.journal.close()
        self.start()
        left = [i for i, s in self.execution_states.items() if s is ExecutionState.UPLOADING]
        assert self.journal.void_claims() == sorted(left)
        self.execution_states.update(dict.fromkeys(left, ExecutionState.READY))

    @invariant()
    def states_history_and_events_agree(self):
        executions = {e.id: e.state for e in self.journal.executions()}
        files = {f.id: f.state for number in executions for f in self.journal.files(number)}
        lines = [line for number in executions for line in self.journal.history(number)]
        lines.sort(key=lambda line: line.id)

        assert (executions, files) == (self.execution_states, self.file_states)
        assert [(line.trigger, line.before, line.after) for line in lines] == [
            (event.trigger, event.before, event.state) for event in self.events
        ]


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
