"""What is asked every few seconds does not cost more with every file that is finished."""

import sqlite3

import pytest
from sqlalchemy import Engine, event

from deriva_watch.edges.journal import Journal


@pytest.mark.parametrize("question", ["left_jobs", "unlinked", "being_removed"])
def test_what_is_swept_up_is_found_without_a_look_at_every_file(tmp_path, question):
    asked = []

    def listen(_connection, _cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=lambda _: None) as journal:
        event.listen(Engine, "before_cursor_execute", listen)
        try:
            getattr(journal, question)("example.org/1")
        finally:
            event.remove(Engine, "before_cursor_execute", listen)

    plan = [line for each in asked for line in explained(tmp_path / "journal.db", *each)]

    assert plan
    assert "file USING INDEX file_" in plan[0], plan  # one of ours, not that of an execution
    assert not [line for line in plan if "SCAN file" in line and "USING INDEX" not in line]


def explained(journal, statement, parameters):
    """Return the lines of SQLite's plan; the first is what it begins with."""
    with sqlite3.connect(journal) as connection:
        found = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    return [line[3] for line in found]
