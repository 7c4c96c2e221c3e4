"""A daemon brings in rows of tables, inside and outside of executions."""

import os
import time

import pytest

from running import Api, command, daemon, sandbox, write_config, write_files

TABLES = "deriva-ml/table"
SUBJECT = "demo/Subject/Subject.csv"
VISITS = "demo/Observation/Observation.csv"
DAY_S = 24 * 60 * 60


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("rows") / "data") as ready:
        yield ready


def test_tables_arrive_whether_they_belong_to_an_execution_or_to_none(tmp_path, ready):
    api, prefix = Api(ready), tmp_path / "data"
    rid = api.execution()
    config = write_config(tmp_path / "daemon", ready, prefix)
    write_files(prefix / "deriva-ml/execution" / rid, {f"table/{SUBJECT}": f"Name\nin {rid}\n"})
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")
        assert running.stop() == 143
    write_files(prefix / TABLES, {SUBJECT: f"Name\nout {rid}\n", VISITS: visit()})
    with daemon(config) as running:  # a running one looks for new folders now and then
        running.wait_for_state(TABLES, "uploaded")
        assert running.stop() == 143

    names = {row["Name"] for row in api.rows("demo:Subject")}
    assert {f"in {rid}", f"out {rid}"} <= names
    assert "2026-02-11" in dates(api)
    assert api.status(rid) == "Uploaded"


def test_rows_without_a_key_that_are_older_than_the_journal_wait_for_a_person(tmp_path, ready):
    """Somebody may have loaded them by hand; rows with a key can be told apart, and go."""
    api, prefix = Api(ready), tmp_path / "data"
    old = write_files(prefix / TABLES, {VISITS: visit("2026-02-12"), SUBJECT: "Name\nold one\n"})
    for path in (VISITS, SUBJECT):
        os.utime(old / path, (time.time() - DAY_S,) * 2)
    config = write_config(tmp_path / "daemon", ready, prefix)
    with daemon(config) as running:
        refused = running.wait_for_state(TABLES, "refused")
        assert f"deriva-watch retry {TABLES}" in refused["next"]
        assert "older than the journal" in refused["why"]
        assert "2026-02-12" not in dates(api)
        assert "old one" in {row["Name"] for row in api.rows("demo:Subject")}

        assert command(config, "retry", TABLES).returncode == 0
        running.wait_for_state(TABLES, "uploaded")

    assert dates(api).count("2026-02-12") == 1


def visit(day="2026-02-11"):
    return f"Subject,Observation_Date\n1-S001,{day}\n"


def dates(api):
    return [row["Observation_Date"] for row in api.rows("demo:Observation")]
