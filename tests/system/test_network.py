"""Connections break and the server says no in passing; nothing is lost or doubled by it."""

import json
import random
from datetime import datetime

import pytest

from running import Api, daemon, sandbox, write_config, write_files
from system.difference import assert_arrived_once

CHUNK_BYTES = 50_000
FILES = {f"small-{n:02}.bin": random.Random(n).randbytes(3000) for n in range(15)} | {
    "large.bin": random.Random(15).randbytes(8 * CHUNK_BYTES - 1)
}
SERVICES = "^/(ermrest|hatrac)"


@pytest.fixture
def upload(tmp_path):
    """Return what uploads FILES through a server with faults and gives the daemon's events."""

    def run(*faults, **transfer):
        file = tmp_path / "faults.json"
        file.write_text(json.dumps({"faults": faults}))
        with sandbox(tmp_path / "server") as ready:  # a server without faults, to begin with
            api = Api(ready)
            rid, before = api.execution(), api.tables()
        root = tmp_path / "deriva-ml" / "execution" / rid / "assets" / "Execution_Asset"
        write_files(root, FILES)
        sizes = {"chunk_bytes": CHUNK_BYTES, **transfer}
        config = write_config(tmp_path / "daemon", ready, tmp_path, transfer=sizes)
        listen = ready["host"]
        with sandbox(tmp_path / "server", listen=listen, faults=file), daemon(config) as running:
            running.wait_for_state(rid, "uploaded", timeout_s=120)
            assert running.stop() == 143
        with sandbox(tmp_path / "server", listen=listen) as ready:
            assert_arrived_once(Api(ready), before, rid, FILES)
        return running.events()

    return run


@pytest.mark.parametrize("action", ["reset_before", "reset_after"])
def test_a_connection_that_breaks_once_holds_nothing_up(upload, action):
    events = upload({"action": action, "method": "PUT", "route": ";upload/", "nth": 4})

    assert not {event["event"] for event in events} & {"server.unavailable", "execution.waiting"}


def test_a_server_that_is_away_for_a_moment_costs_a_moment_and_no_attempt(upload):
    """Work goes on as soon as it is back, not when some longer wait is over."""
    break_off = {"action": "reset_before", "method": "PUT", "route": ";upload/"}
    events = upload({**break_off, "nth": [4, 5, 6, 7]}, connections=1)

    away = [event for event in events if event["event"] == "server.unavailable"]
    back = [event for event in events if event["event"] == "server.recovered"]
    assert len(away) == len(back) > 0
    waits = [event for event in events if event["event"] == "execution.waiting"]
    assert {event["attempts"] for event in waits} == {0}
    for event in waits:
        told, due = (datetime.fromisoformat(event[name]) for name in ("time", "next_at"))
        assert (due - told).total_seconds() < 3


@pytest.mark.parametrize("seed", [1])  # storms draw many more
def test_faults_of_every_kind_lose_nothing_and_double_nothing(upload, seed):
    """Answers are lost before and after their effect, cut in half, or say "not now"."""
    kinds = {"status": 0.08, "reset_before": 0.03, "reset_after": 0.04, "truncate": 0.03}
    upload(
        *(
            {"action": action, "probability": share, "seed": f"{seed} {action}", "route": SERVICES}
            for action, share in kinds.items()
        )
    )


def test_uploads_take_no_more_of_the_line_than_they_may(upload):
    bytes_per_s = 200_000
    events = upload(bandwidth_bytes_per_s=bytes_per_s)

    begun, ended = (
        next(
            datetime.fromisoformat(e["time"]) for e in events if e["event"] == f"execution.{state}"
        )
        for state in ("uploading", "uploaded")
    )
    last_bytes = bytes_per_s / 2  # nothing waits for the last piece
    sent_bytes = sum(map(len, FILES.values()))
    assert (ended - begun).total_seconds() >= (sent_bytes - last_bytes) / bytes_per_s
