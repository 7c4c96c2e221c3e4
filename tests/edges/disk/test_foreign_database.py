"""Workspace databases that attack whoever reads them: refused, soon, and with little memory."""

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.metadata.sources import FeatureRecord, Statement
from deriva_watch.edges.disk import foreign_database
from deriva_watch.edges.disk.foreign_database import reading, writing
from deriva_watch.edges.disk.workspace import find

SAMPLE = Path(__file__).parents[2] / "data/workspace/images.db"
RID = "4X8"
TABLE = "execution_state__executions"
COUNTING = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT"
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")

HOSTILE = {
    "endless view": f"CREATE VIEW {TABLE} AS {COUNTING} x AS rid, 'x' AS status FROM c WHERE x < 0",
    "large view": f"CREATE VIEW {TABLE} AS {COUNTING} x || hex(zeroblob(500000)) AS rid, "
    "'x' AS status FROM c",
    "harmless view": f"CREATE VIEW {TABLE} AS SELECT '{RID}' AS rid, 'Stopped' AS status",
    "computed column": f"CREATE TABLE {TABLE}(rid, status AS (hex(zeroblob(1000000000))))",
    "stored column": f"CREATE TABLE {TABLE}(rid, status AS ('x' LIKE '%x%') STORED)",
    "virtual table": f"CREATE VIRTUAL TABLE {TABLE} USING fts4(rid, status)",
    "no columns": f"CREATE TABLE {TABLE}(x)",
}


def workspace(folder, *statements, sample=False):
    path = folder / "catalogs/data.example.org__15/working/main.db"
    path.parent.mkdir(parents=True)
    if sample:
        shutil.copyfile(SAMPLE, path)
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    (found,) = find(folder)
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_plain_table_is_refused_at_once(tmp_path, name):
    found, began_s = workspace(tmp_path, HOSTILE[name]), time.process_time()

    with pytest.raises(RefusedError, match="known version of deriva-ml"):
        found.statuses()

    assert time.process_time() - began_s < 5


def test_a_view_in_place_of_any_table_is_refused(tmp_path):
    found = workspace(
        tmp_path,
        "DROP TABLE execution_state__assets",
        "CREATE VIEW execution_state__assets AS SELECT * FROM execution_state__executions",
        sample=True,
    )

    with pytest.raises(RefusedError, match="execution_state__assets is not a plain table"):
        found.statuses()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT name FROM other",
        "SELECT load_extension('x')",
        "SELECT hex(rid) FROM execution_state__executions",
        f"{COUNTING} x FROM c LIMIT 1",
        "ATTACH ':memory:' AS more",
        "PRAGMA writable_schema = ON",
        "UPDATE execution_state__executions SET status = 'x'",
        "DELETE FROM execution_state__executions",
        "CREATE TABLE more(x)",
    ],
)
def test_nothing_but_reading_known_tables_is_allowed(tmp_path, statement):
    path = workspace(tmp_path, "CREATE TABLE other(name)", sample=True).path

    with (
        pytest.raises(RefusedError, match=r"not authorized|prohibited"),
        reading(path, [TABLE], None) as database,
    ):
        database.rows(statement)


def test_a_trigger_does_not_run_when_a_status_is_written(tmp_path):
    path = workspace(
        tmp_path,
        "CREATE TABLE other(name)",
        f"CREATE TRIGGER t AFTER UPDATE ON {TABLE} BEGIN INSERT INTO other VALUES ('x'); END",
        sample=True,
    ).path

    with (
        pytest.raises(RefusedError, match="not authorized"),
        writing(path, [TABLE]) as database,
    ):
        database.change(f"UPDATE {TABLE} SET status = :status", [{"status": "Uploaded"}])

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM other").fetchone() == (0,)
        assert database.execute(f"SELECT status FROM {TABLE}").fetchone() == ("Pending_Upload",)


def test_a_query_ends_after_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign_database, "LONGEST_S", 0.2)
    path = workspace(
        tmp_path,
        f"CREATE TABLE {TABLE}(rid, status)",
        f"INSERT INTO {TABLE} {COUNTING} x, 'x' FROM c LIMIT 20000",
    ).path

    with (
        pytest.raises(RefusedError, match="takes more than"),
        reading(path, [TABLE], None) as database,
    ):
        database.rows(f"SELECT count(*) FROM {TABLE} a, {TABLE} b WHERE a.rid > b.rid + 19999")


@pytest.mark.parametrize(
    ("rows", "value", "why"),
    [(5001, "'x'", "more than 5,000 rows"), (9, "hex(zeroblob(4000000))", "more than 64 MiB")],
)
def test_rows_and_their_bytes_are_limited(tmp_path, monkeypatch, rows, value, why):
    monkeypatch.setattr(foreign_database, "_MOST_ROWS", 5000)
    found = workspace(
        tmp_path,
        f"CREATE TABLE {TABLE}(rid, status)",
        f"INSERT INTO {TABLE} {COUNTING} x, {value} FROM c LIMIT {rows}",
    )

    with pytest.raises(RefusedError, match=why):
        found.statuses()


def test_one_value_is_limited(tmp_path):
    found = workspace(
        tmp_path,
        f"CREATE TABLE {TABLE}(rid, status)",
        f"INSERT INTO {TABLE} VALUES ('x', hex(zeroblob(10000000)))",
    )

    with pytest.raises(RefusedError, match="too big"):
        found.statuses()


@only_root
@pytest.mark.parametrize("part", ["main.db", "main.db-wal", "main.db-journal"])
def test_a_large_or_sparse_file_is_not_copied(tmp_path, part, monkeypatch):
    found = workspace(tmp_path, sample=True)
    with found.path.with_name(part).open("ab") as file:
        os.truncate(file.fileno(), 40 << 30)
    os.chown(found.path, 65534, 65534)
    (found,) = find(tmp_path)
    monkeypatch.setattr(foreign_database, "_copy_file", lambda *_: pytest.fail("it is copied"))

    with pytest.raises(RefusedError, match="it is larger than 256 MiB"):
        found.statuses()


@pytest.mark.parametrize(
    "change",
    [
        f"UPDATE {TABLE} SET status = x'37'",
        f"UPDATE {TABLE} SET rid = x'ff'",
        f"UPDATE {TABLE} SET status = CAST(x'ff' AS TEXT)",
        f"UPDATE {TABLE} SET status = 'a' || char(0)",
    ],
)
def test_a_status_that_is_no_text_is_refused(tmp_path, change):
    with pytest.raises(RefusedError, match="known version of deriva-ml"):
        workspace(tmp_path, change, sample=True).statuses()


@pytest.mark.parametrize(
    "change",
    [
        "asset_table = x'37'",
        "description = x'00'",
        "rid = x'37'",
        "asset_types = '[7]'",
        'metadata = \'{"a": 1, "a": 2}\'',
        "metadata = '{\"a\": 1e400}'",
        f"metadata = '{'[' * 2000}'",
        "metadata = 5",
    ],
)
def test_an_asset_of_other_types_is_refused(tmp_path, change):
    found = workspace(tmp_path, f"UPDATE execution_state__assets SET {change}", sample=True)

    with pytest.raises(RefusedError, match="unexpected value"):
        found.assets(RID)


@patient
@given(st.lists(st.tuples(st.integers(0, 53247), st.binary(min_size=1, max_size=8)), max_size=40))
def test_whatever_the_bytes_are_it_is_read_or_refused(tmp_path_factory, changes):
    content = bytearray(SAMPLE.read_bytes())
    for at, new in changes:
        content[at : at + len(new)] = new
    found = workspace(tmp_path_factory.mktemp("fuzz"), sample=True)
    found.path.write_bytes(content)

    with suppress(RefusedError, TransientError):
        assert all(isinstance(each, str) for pair in found.statuses().items() for each in pair)
    with suppress(RefusedError, TransientError):
        assert all(isinstance(each, Statement) for each in found.assets(RID).values())
    with suppress(RefusedError, TransientError):
        for records in found.features(RID).values():
            assert all(isinstance(each, FeatureRecord) for each in records)
    with suppress(RefusedError, TransientError):
        assert isinstance(found.pending_rows(RID), int)


CELLS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary() | st.floats()


@patient
@given(st.lists(st.tuples(*[CELLS] * 8), max_size=5))
def test_whatever_the_values_are_they_are_read_or_refused(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("fuzz")
    columns = "key, asset_table, schema, asset_types, metadata, description, status, rid"
    found = workspace(folder, f"CREATE TABLE execution_state__assets(execution_rid, {columns})")
    with closing(sqlite3.connect(found.path)) as database, suppress(UnicodeEncodeError):
        insert = f"INSERT INTO execution_state__assets VALUES ('{RID}'{', ?' * 8})"
        database.executemany(insert, rows)
        database.commit()

    with suppress(RefusedError, TransientError):
        for key, each in found.assets(RID).items():
            assert isinstance(key, str)
            assert isinstance(each.table, str)
