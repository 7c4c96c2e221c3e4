"""The folder of all directories is taken away in the middle of an upload."""

import random
import time

import pytest

from running import Gate, daemon, sandbox, write_config, write_files
from system.difference import assert_arrived_once

FILES = {f"{n:02}.bin": random.Random(n).randbytes(3000) for n in range(10)}
TREE = {f"assets/Execution_Asset/{name}": content for name, content in FILES.items()}
REFUSALS = {"execution.refused", "file.refused", "file.unmatched", "daemon.crashed"}


@pytest.fixture
def gate(tmp_path):
    """What lets five chunks through, so that one file is whole, until a test opens it."""
    gate = Gate(tmp_path, ";upload/", first=5)
    gate.close()
    return gate


@pytest.fixture
def server(tmp_path, gate):
    with sandbox(tmp_path / "server", faults=gate.faults) as ready:
        yield ready


@pytest.fixture
def prefix(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def config(tmp_path, server, prefix):
    """Every file goes in two chunks."""
    transfer = {"chunk_bytes": 2000, "connections": 2}
    return write_config(tmp_path / "daemon", server, prefix, transfer=transfer)


def drop(prefix, rid):
    return write_files(prefix / "deriva-ml/execution" / rid, TREE)


def is_stored(event):
    return event["event"] == "file.stored"


def told(running):
    return {event["event"] for event in running.events()}


def test_a_prefix_that_goes_away_in_the_middle_has_lost_nothing_when_it_is_back(
    api, gate, config, prefix
):
    """A network disk is not mounted for a while; its empty mount point stays."""
    rid, before = api.execution(), api.tables()
    drop(prefix, rid)
    away = prefix.with_name("away")

    with daemon(config) as running:
        running.wait_for(is_stored)
        prefix.rename(away)
        prefix.mkdir()
        gate.open()
        missing = running.wait_for(lambda event: event["event"] == "root.missing")
        running.wait_for(lambda event: event.get("trigger") == "changed")  # the upload has ended
        time.sleep(1)  # it is looked at once more
        prefix.rmdir()
        away.rename(prefix)
        running.wait_for_state(rid, "uploaded")

    assert missing["prefix"] == str(prefix)
    assert told(running).isdisjoint(REFUSALS | {"file.gone", "execution.gone"})
    assert_arrived_once(api, before, rid, FILES)
