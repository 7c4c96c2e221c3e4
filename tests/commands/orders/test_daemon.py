"""Orders to a running daemon, and to one that starts later, with a server that is slow."""

import json
import os
import random
import signal
import time
from datetime import UTC, datetime
from threading import Event

import pytest

from deriva_watch.commands.upload import uploading
from deriva_watch.core.orders.orders import Cancel, Pause
from deriva_watch.core.unit import Unit
from deriva_watch.edges.host.spool import Orders
from deriva_watch.settings.model import load
from running import (
    Api,
    Gate,
    command,
    daemon,
    detailed,
    requests_seen,
    sandbox,
    summed_up,
    wait_until,
    write_config,
    write_files,
)
from system.difference import assert_arrived_once, stored

CHUNK_BYTES = 64 * 1024
SOAK = os.environ.get("SOAK")
slow = pytest.mark.skipif(not SOAK, reason="takes ten seconds")
BIG = "big.bin"
FILES = {f"small-{n}.bin": random.Random(n).randbytes(2_000) for n in range(3)} | {
    BIG: random.Random(BIG).randbytes(30 * CHUNK_BYTES)
}
ASSETS = "assets/Execution_Asset"


@pytest.fixture
def gate(tmp_path):
    """What holds back all but the first three chunks until a test opens it."""
    gate = Gate(tmp_path, r";upload/[^/]+/([3-9]|\d\d)$")
    gate.close()
    return gate


@pytest.fixture
def server(tmp_path, gate):
    """A server that takes 25 ms for every request."""
    with sandbox(tmp_path / "server", latency_ms=25, faults=gate.faults) as ready:
        yield ready


@pytest.fixture
def api(server):
    return Api(server)


@pytest.fixture
def config(tmp_path, server):
    return write_config(
        tmp_path / "daemon", server, tmp_path, transfer={"chunk_bytes": CHUNK_BYTES}
    )


def unique(api, files=FILES):
    """Return an execution, and contents for it that nobody else has."""
    rid = api.execution()
    return rid, {name: rid.encode() + content for name, content in files.items()}


def drop(folder, rid, files):
    root = folder / "deriva-ml" / "execution" / rid
    write_files(root / ASSETS, files)
    return root


def in_the_middle(server, before=0):
    """Wait until as many chunks are taken as may before the gate opens."""
    wait_until(lambda: len(chunks(server, before)) == 3)


def chunks(server, before=0):
    return [path for path in stored(requests_seen(server)[before:]) if ";upload/" in path]


def cancelled_jobs(server):
    return [r for r in requests_seen(server) if r["method"] == "DELETE" and r["status"] < 300]


def problems(config):
    return {each["about"]: each for each in summed_up(config)["problems"]}


def told(config, *line):
    """Give a command that succeeds and return what it says."""
    done = command(config, *line)
    assert done.returncode == 0, done.stderr
    return done.stdout


def taken(running, name, after=0):
    """Wait until an order is carried out."""
    return running.wait_for(
        lambda e: (e["event"], e.get("order")) == ("order.applied", name), after=after
    )


def test_an_execution_that_is_cancelled_stays_so_until_a_person_tries_it_again(
    tmp_path, server, gate, api, config
):
    """Over a restart, whatever changes on the disk; then it arrives as if nothing had been."""
    rid, files = unique(api)
    before, asked = api.tables(), len(requests_seen(server))
    root = drop(tmp_path, rid, files)

    with daemon(config) as running:
        in_the_middle(server, asked)
        said = told(config, "cancel", rid, "--reason", "wrong samples")
        taken(running, "cancel")
        gate.open()
        refused = running.wait_for_state(rid, "refused")
        wait_until(lambda: cancelled_jobs(server))
        at = len(requests_seen(server))
    assert said.startswith(f"Upload of {rid} cancelled; ")
    assert refused["what"].startswith("cancelled by ")
    assert refused["why"] == "wrong samples"
    assert refused["next"] == f"`deriva-watch retry {rid}` undoes this."
    assert not stored(requests_seen(server)[at:])

    with daemon(config) as running:
        write_files(root / ASSETS, {"late.bin": b"late" + rid.encode()})
        notice = running.wait_for(lambda event: event["event"] == "notice.added")
        assert "its changed files are not uploaded" in notice["why"]
        entry = next(each for each in summed_up(config)["refused"] if each["rid"] == rid)
        assert entry["why"] == "wrong samples; its files have changed since"
        assert not stored(requests_seen(server)[at:])
        (root / ASSETS / "late.bin").unlink()
        told(config, "retry", rid)
        running.wait_for_state(rid, "uploaded")
    assert_arrived_once(api, before, rid, files)


def test_a_pause_of_all_work_outlives_the_daemon_and_ends_with_resume(
    tmp_path, server, gate, api, config
):
    """A kill in between changes nothing; what the server has taken is not sent again."""
    rid, files = unique(api)
    before, asked = api.tables(), len(requests_seen(server))
    root = drop(tmp_path, rid, files)

    with daemon(config) as running:
        in_the_middle(server, asked)
        seen = len(running.events())
        told(config, "pause", "--reason", "backup")
        taken(running, "pause")
        gate.open()
        running.wait_for_state(rid, "ready", after=seen)
        wait_until(lambda: len(chunks(server, asked)) > 3)  # the one that was on its way
        at = len(requests_seen(server))
        running.stop(signal.SIGKILL)
    with daemon(config) as running:
        summary = summed_up(config)
        [pause] = summary["paused"]
        assert (pause["about"], pause["why"]) == ("host", "backup")
        assert summary["verdict"]["next"] == "deriva-watch resume"
        time.sleep(1.0)
        assert not stored(requests_seen(server)[at:])
        running.stop()

    by_hand = command(config, "upload", root, "--json")
    assert by_hand.returncode == 3
    error = json.loads(by_hand.stdout)["error"]
    assert error["what"].startswith("cannot upload: all work is paused by ")
    assert "`deriva-watch resume`" in error["next"]

    assert "No daemon is running: the next `deriva-watch run`" in told(config, "resume")
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")
    assert_arrived_once(api, before, rid, files)
    twice = [path for path, times in stored(requests_seen(server)[asked:]).items() if times > 1]
    assert len(twice) <= 1
    assert summed_up(config)["paused"] == []


@slow
def test_an_execution_that_is_paused_waits_and_its_neighbours_go_on(
    tmp_path, server, gate, api, config
):
    """Also one that is not complete yet; a pause for a time ends by itself."""
    rid, files = unique(api)
    other, more = unique(api, {"other.bin": b"other"})
    asked = len(requests_seen(server))
    drop(tmp_path, rid, files)

    with daemon(config) as running:
        in_the_middle(server, asked)
        told(config, "pause", rid)
        taken(running, "pause")
        gate.open()
        waits = running.wait_for_state(rid, "waiting")
        assert waits["what"].startswith("paused by ")
        assert "next_at" not in waits
        shown = detailed(config, rid)
        assert (shown["state"], shown["held"]["kind"]) == ("waiting", "paused")
        drop(tmp_path, other, more)
        running.wait_for_state(other, "uploaded")
        assert detailed(config, rid)["state"] == "waiting"
        told(config, "pause", rid, "--for", "1s")
        ended = taken(running, "resume")
        assert (ended["by"], ended["about"]) == ("deriva-watch", rid)
        running.wait_for_state(rid, "uploaded")


@slow
def test_a_file_that_is_cancelled_holds_up_no_other(tmp_path, server, gate, api, config):
    rid, files = unique(api)
    before, asked = api.tables(), len(requests_seen(server))
    drop(tmp_path, rid, files)

    with daemon(config) as running:
        in_the_middle(server, asked)
        told(config, "cancel", rid, f"{ASSETS}/{BIG}")
        taken(running, "cancel")
        gate.open()
        refused = running.wait_for_state(rid, "refused")
        assert f"deriva-watch retry {rid} {ASSETS}/{BIG}" in refused["next"]
        states = {file["path"]: file["state"] for file in detailed(config, rid)["files"]}
        assert states.pop(f"{ASSETS}/{BIG}") == "refused"
        assert set(states.values()) == {"linked"}

        told(config, "retry", rid)  # all but what a person has cancelled
        refused = running.wait_for_state(rid, "refused", after=len(running.events()))
        told(config, "retry", rid, f"{ASSETS}/{BIG}")
        running.wait_for_state(rid, "uploaded")
    assert_arrived_once(api, before, rid, files)


@slow
def test_orders_that_follow_each_other_at_once_end_where_the_last_one_says(
    tmp_path, server, gate, api, config
):
    rid, files = unique(api)
    before, asked = api.tables(), len(requests_seen(server))
    drop(tmp_path, rid, files)
    big = f"{ASSETS}/{BIG}"

    with daemon(config) as running:
        in_the_middle(server, asked)
        for line in (
            ["pause", rid],
            ["resume", rid],
            ["cancel", rid],
            ["retry", rid],
            ["cancel", rid, big],
            ["retry", rid, big],
            ["pause"],
            ["resume"],
        ):
            told(config, *line)
        gate.open()
        running.wait_for_state(rid, "uploaded")
    assert_arrived_once(api, before, rid, files)


def test_what_is_no_order_is_told_and_holds_up_no_other(tmp_path, api, config):
    rid, files = unique(api, {"a.bin": b"a"})
    orders = config.parent / "state/orders"
    with daemon(config) as running:
        wait_until(orders.is_dir)
        (orders / "0.json").write_text('{"kind": "fly", "by": "alice"}')

        event = running.wait_for(lambda event: event["event"] == "order.refused")

        assert "has no order 'fly'" in event["why"]
        problem = wait_until(lambda: problems(config).get("the orders"))
        assert problem["next"] == event["next"]
        drop(tmp_path, rid, files)
        running.wait_for_state(rid, "uploaded")
        (orders / "0.set-aside").unlink()
        wait_until(lambda: "the orders" not in problems(config))


def test_an_upload_by_hand_takes_orders_before_each_directory(tmp_path, api, config):
    """What it has begun it brings in."""
    made = [unique(api, {"a.bin": b"a"}) for _ in range(3)]
    for rid, files in made:
        drop(tmp_path, rid, files)
    first, second, third = (rid for rid, _ in made)
    orders, at = Orders(config.parent / "state/orders"), datetime.now(UTC).isoformat()

    with uploading(load(config), print, Event(), lambda *_: None) as one_shot:
        one_shot.journal.open_execution(one_shot.settings.server.name, str(tmp_path), second)
        states = [one_shot.upload(Unit(tmp_path, first)).record.state]
        orders.leave(Cancel(rid=second, by="alice", at=at))
        cancelled = one_shot.upload(Unit(tmp_path, second)).record
        orders.leave(Pause(rid=None, by="bob", at=at))
        paused = one_shot.upload(Unit(tmp_path, third)).record

    assert states == ["uploaded"]
    assert (cancelled.state, cancelled.what) == ("refused", "cancelled by alice")
    assert (paused.state, paused.what) == ("refused", "cannot upload: all work is paused by bob")
