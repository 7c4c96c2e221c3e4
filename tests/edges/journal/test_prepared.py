"""The statements that every file needs, for each driver."""

import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql.base import PGDialect

from deriva_watch.edges.journal.prepared import Prepared
from deriva_watch.edges.journal.schema import file, file_count

DRIVERS = {"?": sqlite.dialect(), "%s": PGDialect(paramstyle="format")}


@pytest.mark.parametrize("mark", DRIVERS)
def test_the_statements_are_plain_sql_with_parameters_by_position(mark):
    files = Prepared(file, DRIVERS[mark])
    locking = "" if mark == "?" else " FOR UPDATE"

    assert files.update(("table", "url")) == (
        f'UPDATE file SET "table" = {mark}, url = {mark} WHERE id = {mark}'
    )
    assert files.insert(("path", "rid"), 2, "id", "path") == (
        f"INSERT INTO file (path, rid) VALUES ({mark}, {mark}), ({mark}, {mark}) RETURNING id, path"
    )
    assert files.select(("id", "table"), 2) == (
        f'SELECT id, "table" FROM file WHERE id IN ({mark}, {mark}){locking}'
    )


@pytest.mark.parametrize("mark", DRIVERS)
def test_a_row_that_is_there_is_replaced_or_added_to(mark):
    counts = Prepared(file_count, DRIVERS[mark])
    key, names = ("execution_id", "state"), ("execution_id", "state", "files")
    into = f"INSERT INTO file_count (execution_id, state, files) VALUES ({mark}, {mark}, {mark})"
    conflict = "ON CONFLICT (execution_id, state) DO UPDATE SET files ="

    assert counts.upsert(names, key) == f"{into} {conflict} excluded.files"
    assert counts.upsert(names, key, "files") == (
        f"{into} {conflict} file_count.files + excluded.files"
    )
