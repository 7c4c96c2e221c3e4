"""The daemon is stopped or killed while it uploads, and started again."""

import random
import re
import signal

import pytest

from running import Api, Gate, daemon, requests_seen, sandbox, wait_until, write_config, write_files
from system.difference import assert_arrived_once, stored

CHUNK_BYTES = 256 * 1024
CHUNK = re.compile(r"/hatrac/[^;]+;upload/[^/]+/\d+")


def seeded(size, seed):
    return random.Random(seed).randbytes(size)


FILES = {f"small-{n:02}.bin": seeded(5_000, n) for n in range(12)} | {
    "large.bin": seeded(20 * CHUNK_BYTES - 7, "large")
}
# An upload of FILES is some fifty requests; this is among the chunks. tests/kill tries every call.
MOMENTS = (38,)


@pytest.fixture
def gate(tmp_path):
    """Return what holds back all but the first five chunks while it is closed."""
    return Gate(tmp_path, r";upload/[^/]+/([5-9]|\d\d)$")


@pytest.fixture
def server(tmp_path, gate):
    """Run a server that takes 20 ms for every request."""
    with sandbox(tmp_path / "server", latency_ms=20, faults=gate.faults) as ready:
        yield ready


def execution(folder, api, files=FILES):
    """Make an execution with *files* below *folder* and return its RID."""
    rid = api.execution()
    assets = folder / "deriva-ml" / "execution" / rid / "assets" / "Execution_Asset"
    write_files(assets, files)
    return rid


def settings(folder, ready):
    return write_config(folder / "daemon", ready, folder, transfer={"chunk_bytes": CHUNK_BYTES})


def test_sigterm_in_the_middle_of_a_large_file_stops_and_a_restart_goes_on(tmp_path, server, gate):
    """It stops and says so; what was taken is not sent again."""
    api = Api(server)
    rid = execution(tmp_path, api)
    config, before = settings(tmp_path, server), api.tables()

    gate.close()
    with daemon(config) as running:
        wait_until(lambda: len(chunks(requests_seen(server))) >= 5)
        running.process.send_signal(signal.SIGTERM)
        gate.open()
        assert running.process.wait(20) == 143
        last = running.events()[-1]
        assert (last["event"], last["signal"]) == ("daemon.stopped", "SIGTERM")
    stopped_at = len(requests_seen(server))
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")

    assert_arrived_once(api, before, rid, FILES)
    first, second = requests_seen(server)[:stopped_at], requests_seen(server)[stopped_at:]
    assert stored(first)
    assert stored(second)
    assert not stored(first).keys() & stored(second).keys()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(tmp_path, server, moment):
    """Killed after so many requests, a second run completes the execution.

    What the journal knew to be stored is not sent again. What was under way may be repeated once,
    and that is all that the server sees twice.
    """
    api = Api(server)
    rid = execution(tmp_path, api)
    config, before = settings(tmp_path, server), api.tables()
    asked = len(requests_seen(server))

    with daemon(config) as running:
        wait_until(lambda: len(requests_seen(server)) >= asked + moment)
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL
        known = {event["url"] for event in running.events() if event["event"] == "file.stored"}
    killed_at = len(requests_seen(server))
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")

    assert_arrived_once(api, before, rid, FILES)
    requests = requests_seen(server)
    sent_again = {path for path in stored(requests[killed_at:]) if not CHUNK.fullmatch(path)}
    assert not sent_again & {url.rpartition(":")[0] for url in known}
    assert max(chunks(requests).values(), default=1) <= 2


def test_a_request_that_never_ends_does_not_hold_the_stop(tmp_path):
    """The journal knows where it is; the next start goes on."""
    gate = Gate(tmp_path, r";upload/[^/]+/2$")
    gate.close()
    with sandbox(tmp_path / "server", faults=gate.faults) as ready:
        api = Api(ready)
        rid = execution(tmp_path, api)
        config, before = settings(tmp_path, ready), api.tables()

        with daemon(config) as running:
            wait_until(lambda: len(chunks(requests_seen(ready))) >= 2)
            assert running.stop(signal.SIGTERM) == 143
        gate.open()
        with daemon(config) as running:
            running.wait_for_state(rid, "uploaded")

        assert_arrived_once(api, before, rid, FILES)


def test_ctrl_c_stops_a_daemon_that_has_nothing_to_do(tmp_path, server):
    with daemon(settings(tmp_path, server)) as running:
        assert running.stop(signal.SIGINT) == 130


def chunks(requests):
    """Count how often each chunk was taken."""
    return {path: times for path, times in stored(requests).items() if CHUNK.fullmatch(path)}
