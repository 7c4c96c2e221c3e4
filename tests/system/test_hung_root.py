"""A root whose file system does not answer holds up nothing but its own units."""

import signal
import time
from contextlib import contextmanager

import pytest
import requests

from fuse import is_possible, mounted
from running import Api, daemon, sandbox, summed_up, wait_until, write_config, write_files

pytestmark = pytest.mark.skipif(not is_possible(), reason="needs root and /dev/fuse")

REPORTED_S = 10 + 10  # the deadline of a call, and how soon it is told then
HUNG = "deriva-ml/execution"


class Lab:
    """A daemon with a root that can hang and one that is well."""

    def __init__(self, folder, ready):
        self.api, self.folder = Api(ready), folder
        self.disk, self.hung, self.well = folder / "disk", folder / "hung", folder / "well"
        self.hangs = folder / "disk.hangs"
        for place in (self.disk, self.well):
            (place / HUNG).mkdir(parents=True)
        self.config = write_config(
            folder / "daemon",
            ready,
            self.hung,
            completion={"quiet_s": 0.4},
            status={"listen": "127.0.0.1:0"},
        )
        # FUSE sends no events: it is scanned again and again.
        text = self.config.read_text().replace("[[watch]]\n", "[[watch]]\nrescan_s = 0.5\n")
        self.config.write_text(f'{text}[[watch]]\nprefix = "{self.well}"\n')

    def write(self, prefix):
        """Make an execution; return its RID."""
        rid = self.api.execution()
        files = {f"assets/Execution_Asset/{rid}-{n}.bin": f"{rid} {n}" for n in range(8)}
        write_files(prefix / "deriva-ml/execution" / rid, files)
        return rid

    @contextmanager
    def hanging(self, *calls):
        """Let these calls of the root that can hang get no answer."""
        self.hangs.write_text(" ".join(calls))
        try:
            yield
        finally:
            self.hangs.unlink()

    def health(self, running):
        """Return the answer of `/healthz`."""
        url = running.wait_for(lambda event: event["event"] == "status.listening")["url"]
        answer = requests.get(f"{url}healthz", timeout=5)
        return answer.status_code, answer.json()

    def problem(self):
        """Return what `status` says of the root that can hang, or None."""
        found = summed_up(self.config)["problems"]
        return next((each for each in found if each["about"] == f"{self.hung}: answers"), None)


@pytest.fixture
def lab(tmp_path):
    with sandbox(tmp_path / "server") as ready:
        lab = Lab(tmp_path, ready)
        with mounted(lab.disk, lab.hung, "mount"):
            yield lab


def hangs(lab):
    return lambda event: (event["event"], event.get("about")) == ("call.hung", str(lab.hung))


@pytest.mark.parametrize("calls", [("getattr", "lookup", "readdir"), ("open",)])
def test_a_root_that_hangs_is_told_and_holds_up_nothing_else(lab, calls):
    with daemon(lab.config) as running:
        first = lab.write(lab.disk)
        running.wait_for_state(first, "uploaded")

        with lab.hanging(*calls):
            began_s = time.monotonic()
            waits = lab.write(lab.disk)
            running.wait_for_state(lab.write(lab.well), "uploaded", timeout_s=10)
            said = running.wait_for(hangs(lab))
            assert time.monotonic() - began_s < REPORTED_S
            assert said["what"] == f"{lab.hung} does not answer"
            told = wait_until(lab.problem)
            assert (told["what"], told["scope"]) == (said["what"], "folder")
            status, health = lab.health(running)
            assert (status, health["healthy"]) == (200, True)
            assert said["what"] in {each["what"] for each in health["problems"]}
            running.wait_for_state(lab.write(lab.well), "uploaded", timeout_s=10)
            assert not [e for e in running.events() if e["event"] == "thread.stuck"]

        running.wait_for(lambda event: event["event"] == "call.returned")
        running.wait_for_state(waits, "uploaded")
        wait_until(lambda: lab.problem() is None)
        assert len(list(filter(hangs(lab), running.events()))) == 1


def test_a_root_that_hangs_at_the_start_holds_up_nothing_else(lab):
    with lab.hanging("getattr", "lookup", "readdir"), daemon(lab.config) as running:
        running.wait_for_state(lab.write(lab.well), "uploaded", timeout_s=20)
        running.wait_for(hangs(lab))


def test_a_stop_does_not_wait_for_a_root_that_hangs_nor_does_the_next_start(lab):
    with daemon(lab.config) as running:
        running.wait_for_state(lab.write(lab.disk), "uploaded")
        with lab.hanging("getattr", "lookup", "readdir"):
            running.wait_for(hangs(lab))
            assert running.stop(timeout_s=10) == 143
            assert running.events()[-1]["event"] == "daemon.stopped"

            waits = lab.write(lab.disk)
            with daemon(lab.config) as another:
                another.wait_for_state(lab.write(lab.well), "uploaded", timeout_s=20)
                lab.hangs.write_text("")
                another.wait_for_state(waits, "uploaded")


def test_a_daemon_that_watches_fuse_is_reloaded_and_killed_like_any_other(lab):
    """It is a child of the process that was started."""
    with daemon(lab.config, through=("env",)) as running:
        running.wait_for_state(lab.write(lab.disk), "uploaded")
        told = len(running.events())
        running.process.send_signal(signal.SIGHUP)
        started = running.wait_for(lambda event: event["event"] == "daemon.started", after=told)
        assert started["pid"] != running.pid
        running.wait_for_state(lab.write(lab.disk), "uploaded")
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL

    with daemon(lab.config) as running:  # the journal is free
        running.wait_for_state(lab.write(lab.well), "uploaded")
        assert running.stop() == 143


def test_files_that_cannot_be_read_hold_up_no_other_root(lab):
    with daemon(lab.config) as running, lab.hanging("read"):
        waiting = [lab.write(lab.disk) for _ in range(3)]
        for rid in waiting:
            running.wait_for_state(rid, "uploading")
        for _ in range(3):
            running.wait_for_state(lab.write(lab.well), "uploaded", timeout_s=20)

        lab.hangs.write_text("")
        for rid in waiting:
            running.wait_for_state(rid, "uploaded")
