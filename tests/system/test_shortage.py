"""This machine lacks something for a while: no file is to blame, and work goes on by itself."""

import random
import resource

import pytest

from running import Api, Gate, daemon, sandbox, write_config, write_files
from system.difference import assert_arrived_once

FILES = {f"{n}.bin": random.Random(n).randbytes(3000) for n in range(30)}
BAD = {"execution.refused", "file.refused", "file.gone", "file.unmatched", "daemon.crashed"}


def limit(running, number):
    """Let a daemon open no descriptor above *number*."""
    _, hard = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (number, hard))


@pytest.mark.parametrize("moment", ["before it is seen", "in the middle"])
def test_a_daemon_without_descriptors_says_so_and_goes_on_when_it_has_some(tmp_path, moment):
    gate = Gate(tmp_path, r"\.bin", first=10)
    gate.close()
    with sandbox(tmp_path / "server", faults=gate.faults) as ready:
        api = Api(ready)
        rid, before = api.execution(), api.tables()
        config = write_config(tmp_path / "daemon", ready, tmp_path)
        root = tmp_path / "deriva-ml" / "execution" / rid
        files = {f"assets/Execution_Asset/{name}": content for name, content in FILES.items()}
        with daemon(config) as running:
            before_s, _ = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
            if moment == "in the middle":
                write_files(root, files)
                running.wait_for(lambda event: event["event"] == "file.stored")
            else:  # what it needs at its start it has
                root.parent.mkdir(parents=True)
                running.wait_for(lambda event: event["event"] == "root.watched")
            limit(running, 5)
            gate.open()
            write_files(root, files)
            running.wait_for(lambda event: "Too many open files" in (event.get("why") or ""))
            limit(running, before_s)
            running.wait_for_state(rid, "uploaded", timeout_s=60)

        assert not {event["event"] for event in running.events()} & BAD
        waits = [e for e in running.events() if e["event"] == "execution.waiting"]
        assert {event["attempts"] for event in waits} <= {0}
        assert_arrived_once(api, before, rid, FILES)
