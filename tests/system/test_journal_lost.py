"""A journal that is damaged, lost or held, and a daemon that is to lose and to double nothing."""

import json
import os
import sqlite3
from contextlib import closing

import pytest

from running import Api, daemon, sandbox, summed_up, write_config, write_files
from system.difference import moved, new_rows

ASSETS = "asset/deriva-ml/Execution_Asset"
SOAK = pytest.mark.skipif(not os.environ.get("DERIVA_WATCH_SOAK"), reason="it takes its time")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("server")) as ready:
        yield ready


@pytest.fixture
def api(server):
    return Api(server)


def drop(tmp_path, rid, name):
    return write_files(tmp_path / "deriva-ml/execution" / rid, {f"{ASSETS}/{name}": name})


def wreck(journal):
    """Put what is no database under those who have it open."""
    with closing(sqlite3.connect(journal)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with journal.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(journal.stat().st_size - 4096))


def test_a_journal_that_turns_out_damaged_at_work_ends_the_daemon_and_the_next_begins_anew(
    tmp_path, server, api
):
    """What systemd takes for a failure, so that it starts the daemon again."""
    first, second = api.execution(), api.execution()
    config = write_config(tmp_path / "settings", server, tmp_path)
    journal = tmp_path / "settings/state/journal.db"
    with daemon(config) as running:
        drop(tmp_path, first, "one.txt")
        running.wait_for_state(first, "uploaded")
        before, versions = api.tables(), api.versions()
        wreck(journal)
        drop(tmp_path, second, "two.txt")
        assert running.process.wait(20) == 12
        lines = [line for line in running.log.read_text().splitlines() if line.startswith("{")]

    [said] = [e for e in map(json.loads, lines) if e["event"] == "daemon.hindered"]
    assert "damaged" in said["why"]
    assert not journal.exists()  # it is set aside already
    with daemon(config) as running:
        told = running.wait_for(lambda event: event["event"] == "journal.set_aside")
        for rid in (first, second):
            running.wait_for_state(rid, "uploaded")
        [notice] = summed_up(config)["notices"]

    table, link = "deriva-ml:Execution_Asset", "deriva-ml:Execution_Asset_Execution"
    after = api.tables()
    assert {name: len(rows) for name, rows in new_rows(before, after).items()} == {
        table: 1,
        link: 1,
    }
    status = {("deriva-ml:Execution", second): {"Status": ("Stopped", "Uploaded")}}
    assert moved(before, after) == status
    assert len(api.versions()) == len(versions) + 1
    assert notice["path"] == told["path"]
