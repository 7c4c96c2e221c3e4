"""SIGHUP has the settings read again: what is good is taken up, what is not stops nothing."""

import json
import os
import signal
import time

import pytest

from running import (
    Api,
    Manager,
    command,
    daemon,
    requests_seen,
    sandbox,
    summed_up,
    wait_until,
    write_config,
    write_files,
)
from system.difference import assert_arrived_once, stored

CHUNK_BYTES = 64 * 1024
FILES = {"large.bin": os.urandom(20 * CHUNK_BYTES - 7)}


@pytest.fixture
def server(tmp_path):
    with sandbox(tmp_path / "server", latency_ms=20) as ready:
        yield ready


def execution(prefix, api, files):
    """Make an execution with *files* below *prefix* and return its RID."""
    rid = api.execution()
    root = prefix / "deriva-ml/execution" / rid
    write_files(root, {f"assets/Execution_Asset/{name}": files[name] for name in files})
    return rid


def add(config, text):
    """Change the settings."""
    with config.open("a") as more:
        more.write(text)


def is_named(name):
    return lambda event: event["event"] == name


def reload(running):
    """Ask for the settings to be read again; return how many events there were before."""
    seen = len(running.events())
    os.kill(running.pid, signal.SIGHUP)
    return seen


def problem(config):
    """Return what `status` says of the settings, or None."""
    found = summed_up(config)["problems"]
    return next((each for each in found if each["about"] == "the settings"), None)


def test_a_new_prefix_is_taken_up_by_the_same_process_and_a_running_upload_goes_on(
    tmp_path, server
):
    """What systemd hears tells a reload from a stop."""
    first, second, manager = tmp_path / "1", tmp_path / "2", Manager(tmp_path / "notify")
    api, transfer = Api(server), {"chunk_bytes": CHUNK_BYTES}
    config = write_config(tmp_path / "daemon", server, first, transfer=transfer)
    rid, before = execution(first, api, FILES), api.tables()
    environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}

    with daemon(config, through=["env"], environment=environment) as running:
        wait_until(lambda: len(stored(requests_seen(server))) >= 5)
        add(config, f'[[watch]]\nprefix = "{second}"\n')
        asked_s = time.monotonic()
        seen = reload(running)
        put_down = running.wait_for(is_named("daemon.stopped"))
        assert put_down["seconds"] <= time.monotonic() - asked_s
        again = running.wait_for(is_named("daemon.started"), after=seen)
        running.wait_for_state(rid, "uploaded")

        assert put_down["signal"] == "SIGHUP"
        assert again["pid"] == running.pid
        assert_arrived_once(api, before, rid, FILES)
        twice = [path for path, times in stored(requests_seen(server)).items() if times > 1]
        assert len(twice) <= 1  # what was under way
        other = execution(second, api, {"b.bin": b"b"})
        running.wait_for_state(other, "uploaded")
        assert running.stop() == 143
    words = "\n".join(message for message in manager.heard).split()
    said = [word for word in words if word in ("READY=1", "RELOADING=1", "STOPPING=1")]
    assert said == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_settings_that_cannot_be_used_are_named_and_those_of_before_hold(tmp_path, server):
    api = Api(server)
    config = write_config(tmp_path / "daemon", server, tmp_path)
    good = config.read_text()

    with daemon(config) as running:
        add(config, "[transfer]\nconections = 4\n")
        seen = reload(running)
        refused = running.wait_for(is_named("settings.refused"), after=seen)
        waits = wait_until(lambda: problem(config))
        rid = execution(tmp_path, api, {"a.bin": b"a"})
        running.wait_for_state(rid, "uploaded")
        assert not [each for each in running.events() if each["event"] == "daemon.stopped"]

        checked = json.loads(command(config, "check", "--json").stdout)
        config.write_text(good)
    assert "conections" in refused["what"]
    assert refused["what"] in json.dumps(checked, ensure_ascii=False)
    assert waits["what"] == refused["what"]


def test_a_new_journal_that_cannot_be_had_is_found_out_before_anything_stops(tmp_path, server):
    config = write_config(tmp_path / "daemon", server, tmp_path / "data")
    state = tmp_path / "daemon/other"
    state.write_text("a file where a folder should be")

    with daemon(config) as running:
        config.write_text(config.read_text().replace("/daemon/state/", "/daemon/other/"))
        refused = running.wait_for(is_named("settings.refused"), after=reload(running))

        assert running.process.poll() is None
    assert str(state) in refused["what"]


def test_a_stop_that_is_asked_for_in_the_middle_of_a_reload_is_a_stop(tmp_path, server):
    config = write_config(tmp_path / "daemon", server, tmp_path)

    with daemon(config, through=["env"]) as running:
        os.kill(running.pid, signal.SIGHUP)
        time.sleep(0.3)
        assert running.stop() == 143
