"""Who is at fault, and for how long work waits: the host, the credential, a file, or a rule."""

import json
import random
import shutil
from contextlib import contextmanager
from datetime import datetime

import pytest

from running import (
    Api,
    command,
    daemon,
    requests_seen,
    sandbox,
    summed_up,
    wait_until,
    write_config,
    write_files,
)

CHUNK_BYTES = 50_000
SMALL = {f"small-{n}.bin": random.Random(n).randbytes(500) for n in range(6)}
LARGE = {"large.bin": random.Random(9).randbytes(6 * CHUNK_BYTES)}
ONCE = {"initial_s": 0.05, "max_s": 5, "max_attempts": 1}


@contextmanager
def beginning(tmp_path, files, *faults, **sections):
    """Yield server, RID and settings for an execution with *files*, before a daemon runs."""
    file = tmp_path / "faults.json"
    file.write_text(json.dumps(faults))
    sections = {"retry": ONCE, "transfer": {"chunk_bytes": CHUNK_BYTES}} | sections
    with sandbox(tmp_path / "server", faults=file) as ready:
        rid = Api(ready).execution()
        root = tmp_path / "deriva-ml" / "execution" / rid / "asset/deriva-ml/Execution_Asset"
        write_files(root, files)
        yield ready, rid, write_config(tmp_path / "daemon", ready, tmp_path, **sections)


def struck(ready, status):
    """Return the requests that a fault answered with *status*."""
    return [each for each in requests_seen(ready) if each["status"] == status]


def named(running, name):
    return [event for event in running.events() if event["event"] == name]


# ---------------------------------------------------------------------- host or file


def test_a_store_that_takes_nothing_for_a_while_burns_no_attempt(tmp_path):
    """It answers everything else; who sees only one file would blame that."""
    fault = {"action": "status", "status": 500, "method": "PUT", "route": "^/hatrac/.*bin"}
    with (
        beginning(tmp_path, SMALL, {**fault, "times": 45}) as (ready, rid, config),
        daemon(config) as running,
    ):
        running.wait_for_state(rid, "uploaded", timeout_s=60)

        assert len(struck(ready, 500)) == 45
        assert {event["attempts"] for event in named(running, "execution.waiting")} == {0}
        assert "times in a row" in named(running, "server.unavailable")[0]["why"]
        assert named(running, "server.recovered")


def test_a_file_that_fails_while_others_are_taken_is_refused_in_the_end(tmp_path):
    fault = {"action": "status", "status": 500, "method": "PUT", "route": "^/hatrac/.*small-3"}
    with beginning(tmp_path, SMALL, fault) as (ready, rid, config), daemon(config) as running:
        refused = running.wait_for_state(rid, "refused", timeout_s=60)

        assert struck(ready, 500)
        assert refused["why"].startswith("gave up after 1 attempts")
        assert {event["attempts"] for event in named(running, "execution.waiting")} == {1}
        assert not named(running, "server.unavailable")
        there = {row["Filename"] for row in Api(ready).rows("deriva-ml:Execution_Asset")}
        assert there == SMALL.keys() - {"small-3.bin"}


def test_a_host_that_asks_for_a_pause_is_left_alone_for_so_long(tmp_path):
    fault = {"action": "status", "status": 429, "retry_after_s": 4, "method": "PUT"}
    with (
        beginning(tmp_path, SMALL, {**fault, "route": "^/hatrac/.*bin", "times": 1}) as (
            ready,
            rid,
            config,
        ),
        daemon(config) as running,
    ):
        running.wait_for_state(rid, "uploaded", timeout_s=60)

        assert len(struck(ready, 429)) == 1
        (away,), (back,) = named(running, "server.unavailable"), named(running, "server.recovered")
        told, due = (datetime.fromisoformat(away[name]) for name in ("time", "next_at"))
        assert 3.9 < (due - told).total_seconds() < 4.1
        assert 4 <= back["seconds"] < 20


# ---------------------------------------------------------------------- the credential


def test_a_session_that_ends_in_the_middle_of_a_file_keeps_what_was_sent(tmp_path):
    """The job goes on at the first chunk that was not acknowledged, without a restart."""
    fault = {"action": "expire", "method": "PUT", "route": ";upload/", "nth": 4}
    with (
        beginning(tmp_path, LARGE, {**fault, "renew_after_s": 2.5}) as (ready, rid, config),
        daemon(config) as running,
    ):
        needed = running.wait_for(lambda event: event["event"] == "credential.needed")
        waits = wait_until(lambda: summed_up(config)["problems"])
        running.wait_for_state(rid, "uploaded", timeout_s=60)

        assert struck(ready, 401)
        assert "does not accept our credential" in needed["why"]
        assert waits[0]["about"] == "the server"
        assert waits[0]["next"].startswith("Run deriva-globus-auth-utils login")
        chunks = [
            each["path"].rpartition("/")[2]
            for each in requests_seen(ready)
            if each["method"] == "PUT" and ";upload/" in each["path"] and each["status"] < 300
        ]
        assert sorted(chunks) == ["0", "1", "2", "3", "4", "5"]
        jobs = [each for each in requests_seen(ready) if each["path"].endswith(";upload")]
        assert [each["method"] for each in jobs if each["method"] == "POST"] == ["POST"]


# ---------------------------------------------------------------------- causes that change


def test_a_bulk_spec_that_is_mended_opens_what_it_refused_and_what_it_left_out(tmp_path):
    spec = tmp_path / "spec.json"
    with beginning(tmp_path, SMALL, spec={"source": "file", "file": str(spec)}) as begun:
        ready, rid, config = begun
        whole = json.loads(command(write_config(tmp_path / "x", ready, tmp_path), "spec").stdout)
        text = json.dumps(whole)
        spec.write_text(text.replace("Execution_Asset", "Execution_Metadata"))
        with daemon(config) as running:
            running.wait_for_state(rid, "refused")
            assert not Api(ready).rows("deriva-ml:Execution_Asset")
            spec.write_text(text)
            opened = running.wait_for(lambda event: event.get("trigger") == "retried")
            running.wait_for_state(rid, "uploaded")

        assert opened["why"].startswith("the bulk spec,")
        assert len(Api(ready).rows("deriva-ml:Execution_Asset")) == len(SMALL)


def test_a_right_that_another_credential_has_opens_what_was_refused(tmp_path):
    credential = tmp_path / "credential.json"
    with beginning(tmp_path, SMALL, server={"credential_file": str(credential)}) as begun:
        ready, rid, config = begun
        url = f"{Api(ready).catalog}/acl/insert"
        Api(ready).call("PUT", url, json=["sandbox-owner"])
        shutil.copyfile(ready["writer_credential_file"], credential)
        with daemon(config) as running:
            refused = running.wait_for_state(rid, "refused")
            shutil.copyfile(ready["owner_credential_file"], credential)
            running.wait_for_state(rid, "uploaded")

        assert struck(ready, 403)
        assert "403" in refused["why"]
        assert len(named(running, "execution.refused")) == 1
        assert not named(running, "credential.needed")


@pytest.mark.parametrize("changed", [True, False])
def test_what_is_refused_stays_so_until_its_cause_is_another(tmp_path, changed):
    """Also over a restart, with other settings."""
    with beginning(tmp_path, {}) as (_ready, rid, config):
        write_files(tmp_path / "deriva-ml" / "execution" / rid, {"not/a/table.bin": b"x"})
        with daemon(config) as running:
            running.wait_for_state(rid, "refused")
        if changed:
            config.write_text(config.read_text() + '[files]\nignore = ["*.tif"]\n')
        with daemon(config) as running:
            running.wait_for(lambda event: event["event"] == "root.watched")
            if changed:
                running.wait_for_state(rid, "refused")
            else:
                with pytest.raises(AssertionError):
                    running.wait_for(lambda e: e.get("trigger") == "retried", timeout_s=3)
