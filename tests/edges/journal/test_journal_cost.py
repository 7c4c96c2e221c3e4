"""What is asked every few seconds does not cost more with every file that is finished."""

import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, event

from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.status import summary


@pytest.mark.parametrize("question", ["abandoned_jobs", "unlinked", "being_removed"])
def test_what_is_swept_up_is_found_without_a_look_at_every_file(tmp_path, question):
    url = f"sqlite:///{tmp_path}/journal.db"
    with Journal.open(url, emit=lambda _: None) as journal, planned(journal) as plan:
        getattr(journal, question)("example.org/1")

    assert plan
    assert "file USING INDEX file_" in plan[0], plan  # one of ours, not that of an execution
    assert not [line for line in plan if "SCAN file" in line and "USING INDEX" not in line]


@pytest.mark.parametrize(
    ("question", "index"),
    [("with_basis", "execution_with_basis"), ("being_removed", "file_being_removed")],
)
def test_what_is_open_is_found_without_a_look_at_what_is_done(tmp_path, question, index):
    url = f"sqlite:///{tmp_path}/journal.db"
    with Journal.open(url, emit=lambda _: None) as journal, planned(journal) as plan:
        getattr(journal, question)("example.org/1")

    assert index in plan[0], plan
    assert all("USING" in line for line in plan if line.startswith(("SCAN", "SEARCH"))), plan


def test_a_look_at_how_things_stand_goes_through_no_table_of_files_or_history(tmp_path):
    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=lambda _: None) as journal:
        new = journal.open_execution("example.org/1", "/data", "1-AA")
        journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
        journal.claim()
        with planned(journal) as plan:
            summary(journal, datetime.now(UTC))

    assert any("history_of_stored" in line for line in plan)
    scanned = {line.split()[1] for line in plan if line.startswith("SCAN ")}
    assert scanned.isdisjoint({"file", "history"})


@contextmanager
def planned(journal):
    """Collect the lines of SQLite's plans for what is asked; the first is what it begins with."""
    asked, plan = [], []

    def listen(_connection, _cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield plan
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    with closing(sqlite3.connect(journal.path)) as connection:
        for statement, parameters in asked:
            lines = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plan.extend(line[3] for line in lines)
