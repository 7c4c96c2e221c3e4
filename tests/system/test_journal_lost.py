"""A journal that is damaged, lost or held, and a daemon that is to lose and to double nothing."""

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing

import pytest

from kill import oracle
from kill.scene import Scene, catalog
from running import (
    daemon,
    requests_seen,
    sandbox,
    summed_up,
    wait_until,
    write_config,
    write_files,
)
from system.difference import moved, new_rows, stored

ASSETS = "asset/deriva-ml/Execution_Asset"
SOAK = bool(os.environ.get("SOAK"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("server")) as ready:
        yield ready


def drop(tmp_path, rid, name):
    return write_files(tmp_path / "deriva-ml/execution" / rid, {f"{ASSETS}/{name}": name})


def wreck(journal):
    """Put what is no database under those who have it open."""
    with closing(sqlite3.connect(journal)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with journal.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(journal.stat().st_size - 4096))


def test_a_journal_that_turns_out_damaged_at_work_ends_the_daemon_and_the_next_starts_over(
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

    [said] = [e for e in map(json.loads, lines) if e["event"] == "problem.found"]
    assert "damaged" in said["why"]
    assert not journal.exists()  # it is set aside already
    with daemon(config) as running:
        told = running.wait_for(lambda event: event["event"] == "journal.replaced")
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A server for executions with files of all kinds."""
    folder = tmp_path_factory.mktemp("whole")
    with sandbox(folder / "server", **catalog(folder)) as ready:
        yield ready


def brought(tmp_path, ready, who):
    """Have files of all kinds brought in; return the scene, and what the server then has."""
    scene = Scene(tmp_path, ready, who)
    with daemon(scene.config) as running:
        running.wait_for_state(scene.rid, "uploaded")
        assert running.stop() == 143
    assert oracle.wrong(scene) == []
    return scene, (scene.api.tables(), scene.api.versions())


def brought_again(scene):
    """Let a daemon begin with the journal that there is; return what it tells, and asked."""
    asked = len(requests_seen(scene.ready))
    with daemon(scene.config) as running:
        running.wait_for_state(scene.rid, "uploaded")
        told = [event["event"] for event in running.events()]
        assert running.stop() == 143
    return told, requests_seen(scene.ready)[asked:]


@pytest.mark.parametrize("who", ["owner", "writer"] if SOAK else ["writer"])
def test_a_damaged_journal_is_found_out_again_and_nothing_is_doubled(tmp_path, whole, who):
    """Small and chunked files, features, rows with a key and without, given RIDs, adopted rows."""
    scene, there = brought(tmp_path, whole, who)
    journal = scene.config.with_name("state") / "journal.db"
    journal.write_bytes(journal.read_bytes()[:5000])

    told, requests = brought_again(scene)

    assert (scene.api.tables(), scene.api.versions()) == there
    assert wrong(scene) == []
    assert "journal.replaced" in told
    assert not stored(requests)


def wrong(scene):
    """Return what the oracle has to say; the manifest tells the new journal that a file is in."""
    return [line for line in oracle.wrong(scene) if "told.bin is 'elsewhere'" not in line]


@pytest.mark.parametrize("who", ["owner", "writer"] if SOAK else ["owner"])
def test_a_node_that_lost_its_state_doubles_nothing(tmp_path, whole, who):
    """The receipts beside the files are what is left."""
    scene, there = brought(tmp_path, whole, who)
    shutil.rmtree(scene.config.with_name("state"))

    _, requests = brought_again(scene)

    assert (scene.api.tables(), scene.api.versions()) == there
    assert wrong(scene) == []
    assert not stored(requests)


@pytest.mark.skipif(not SOAK, reason="SQLite is patient for ten seconds")
def test_a_journal_that_another_program_holds_stops_work_which_then_goes_on(tmp_path, server, api):
    rid = api.execution()
    config = write_config(tmp_path / "settings", server, tmp_path)
    with daemon(config) as running:
        drop(tmp_path, rid, "held.txt")
        running.wait_for_state(rid, "filling")
        with closing(sqlite3.connect(tmp_path / "settings/state/journal.db")) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            running.wait_for(lambda event: "is locked" in (event.get("why") or ""))
            told = len(running.events())
            time.sleep(12)  # the next attempt fails as well, and is not told again
            again = [event for event in running.events()[told:] if "locked" in str(event)]
        running.wait_for_state(rid, "uploaded")
        wait_until(lambda: not summed_up(config)["problems"])

    assert again == []
    assert [row["Filename"] for row in api.rows("deriva-ml:Execution_Asset")].count("held.txt") == 1
