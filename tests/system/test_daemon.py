"""The daemon as its operator sees it: events, one journal, orders."""

import json
import threading
from functools import partial

import pytest

from deriva_watch.pipeline.crash_report import report_thread_crash
from running import (
    command,
    daemon,
    directory,
    sandbox,
    shown,
    wait_until,
    write_config,
    write_files,
)

FILES = {f"assets/Execution_Asset/file-{n}.bin": bytes([n]) * 1000 for n in range(6)}


@pytest.fixture
def server(tmp_path):
    with sandbox(tmp_path / "server") as ready:
        yield ready


@pytest.fixture
def config(tmp_path, server):
    return write_config(tmp_path / "daemon", server, tmp_path, completion={"quiet_max_s": 1})


def test_every_change_of_state_is_one_event_in_the_order_of_the_journal(tmp_path, api, config):
    """Over a whole life: uploaded, late files, a refusal, an order, removed files, gone."""
    rid = api.execution()
    with daemon(config) as running:
        write_files(directory(tmp_path, rid), FILES | {"notes.part": "?", "odd/place.txt": "?"})
        running.wait_for_state(rid, "uploaded")
        told = len(running.events())
        write_files(directory(tmp_path, rid), {"assets/Image/x.png": "no Subject"})
        running.wait_for_state(rid, "refused", after=told)
        (directory(tmp_path, rid) / "assets/Image/x.png").unlink()
        running.wait_for_state(rid, "uploaded", after=told)
        running.stop()

    changes = [event for event in running.events() if "state" in event]
    told = [(e.get("path"), e.get("before"), e.get("trigger"), e["state"]) for e in changes]
    kept = [
        (line["path"], line["before"], line["trigger"], line["after"])
        for line in shown(config, rid)["history"]
    ]
    assert told == kept
    assert {e["event"] for e in changes} >= {
        *("file.found", "file.hashed", "file.stored", "file.recorded", "file.linked"),
        *("file.ignored", "file.unmatched", "file.refused", "file.gone"),
        *("execution.filling", "execution.ready", "execution.uploading"),
        *("execution.uploaded", "execution.refused"),
    }
    assert all(e["event"].partition(".")[2] == e["state"] for e in changes)


def test_a_second_daemon_on_the_same_journal_ends_and_says_who_holds_it(config):
    with daemon(config) as running:
        told = command(config, "run")

        assert told.returncode == 11
        assert f"process {running.pid} holds it" in told.stderr
        assert running.stop() == 143


def test_an_upload_beside_a_running_daemon_ends_and_says_who_holds_the_journal(
    tmp_path, api, config
):
    rid = api.execution()
    write_files(directory(tmp_path, rid), FILES)
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")

        told = command(config, "upload", directory(tmp_path, rid), "--json")

    assert told.returncode == 11
    assert str(running.pid) in json.loads(told.stdout)["error"]["why"]


def test_an_order_to_retry_reaches_the_running_daemon(tmp_path, api, config):
    """Its cause is mended on the server, where no file tells of it."""
    rid = api.execution()
    image = "asset/demo/Image/__NULL__/__NULL__/__NULL__/1-S009/scan.png"
    write_files(directory(tmp_path, rid), {image: "x", **FILES})
    with daemon(config) as running:
        refusal = running.wait_for_state(rid, "refused")
        assert "scan.png" in refusal["why"]
        assert f"deriva-watch retry {rid}" in refusal["next"]
        api.insert("demo:Subject", {"RID": "1-S009", "Name": "late"})

        assert command(config, "retry", rid).returncode == 0
        running.wait_for_state(rid, "uploaded")

    assert {file["state"] for file in shown(config, rid)["files"]} == {"linked"}
    assert not list((config.parent / "state" / "orders").glob("*.json"))


def test_an_order_that_nobody_takes_waits_for_the_next_start(tmp_path, api, config):
    """An aborted execution is never uploaded by itself."""
    rid = api.execution("Aborted")
    write_files(directory(tmp_path, rid), FILES)
    with daemon(config) as running:
        assert "aborted" in running.wait_for_state(rid, "refused")["why"]
        running.stop()

    assert command(config, "retry", rid).returncode == 0
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")

    assert api.status(rid) == "Aborted"


def test_what_was_dropped_while_the_daemon_was_down_is_found_at_its_start(tmp_path, api, config):
    first, second = api.execution(), api.execution()
    write_files(directory(tmp_path, first), FILES)
    with daemon(config) as running:
        running.wait_for_state(first, "uploaded")
        running.stop()
        (backlog,) = [event for event in running.events() if event["event"] == "root.backlog_found"]
        assert backlog["directories"] == 1
    write_files(directory(tmp_path, first), {"assets/Execution_Asset/late.txt": "late"})
    write_files(directory(tmp_path, second), FILES)

    with daemon(config) as running:
        running.wait_for_state(first, "uploaded")
        running.wait_for_state(second, "uploaded")
        assert "root.backlog_found" not in [event["event"] for event in running.events()]

    states = {file["path"]: file["state"] for file in shown(config, first)["files"]}
    assert states == dict.fromkeys([*FILES, "assets/Execution_Asset/late.txt"], "linked")


def test_a_file_that_is_still_being_written_holds_its_whole_directory(tmp_path, api, config):
    """However long it is quiet; it is uploaded once the file is closed."""
    rid = api.execution()
    root = write_files(directory(tmp_path, rid), FILES)
    with (
        (root / "assets" / "Execution_Asset" / "slow.bin").open("wb") as slow,
        daemon(config) as running,
    ):
        slow.write(b"half")
        slow.flush()
        running.wait_for_state(rid, "filling")
        wait_until(lambda: "open for writing" in why_not(config, rid))
        assert not [e for e in running.events() if e["event"] == "execution.ready"]
        slow.write(b" whole")
        slow.close()
        running.wait_for_state(rid, "uploaded", timeout_s=60)

    (row,) = (row for row in api.rows("deriva-ml:Execution_Asset") if row["Filename"] == "slow.bin")
    assert api.content(row["URL"]) == b"half whole"


def why_not(config, rid):
    return (shown(config, rid)["verdict"] or {}).get("why", "")


@pytest.mark.parametrize("below", ["", "deriva-ml", "deriva-ml/execution/{rid}"])
def test_an_upload_finds_executions_below_a_prefix_called_deriva_ml(tmp_path, server, api, below):
    """The released deriva-ml makes such a prefix: <user>/deriva-ml/deriva-ml/execution."""
    rid, prefix = api.execution(), tmp_path / "user" / "deriva-ml"
    write_files(directory(prefix, rid), FILES)
    config = write_config(tmp_path / "daemon", server, prefix)

    told = command(config, "upload", prefix / below.format(rid=rid), "--json")

    assert told.returncode == 0, told.stderr
    (execution,) = json.loads(told.stdout)["executions"]
    assert (execution["rid"], execution["prefix"]) == (rid, str(prefix))


def test_a_thread_of_a_library_that_ends_by_an_error_is_told_as_an_event():
    """Not as lines between the lines of JSON, as Python does by itself."""
    told, before = [], threading.excepthook
    threading.excepthook = partial(report_thread_crash, told.append)
    try:
        thread = threading.Thread(target=lambda: 1 // 0, name="emitter")
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before

    (crash,) = told
    assert (crash.name, crash.where) == ("daemon.crashed", "emitter")
    assert "ZeroDivisionError" in crash.why
    assert "1 // 0" in crash.traceback
