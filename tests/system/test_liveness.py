"""Every thread of the daemon that stands still or ends is told, to people and to systemd.

A sample of the threads is taken by default; `SOAK=1` takes every one.
"""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress

import pytest
import requests

from faltering import SILENT_S, STEPS
from running import (
    Api,
    Manager,
    daemon,
    sandbox,
    summed_up,
    wait_until,
    write_config,
    write_files,
)

ASSETS = "assets/Execution_Asset"
DROP = """
[[drop]]
path = "{path}"
table = "deriva-ml:Execution_Asset"
pattern = '[^/]+'
unit = "none"
after = "delete"
after_delay_s = 0
quiet_s = 0.2
batch_s = 0.1
"""
SOAK = bool(os.environ.get("SOAK"))  # every thread, in every way
HANGS = list(STEPS) if SOAK else ["main", "uploader-0", "journal", "status page"]
AGAIN = (  # replaced
    *("uploader-0", "hasher", "inotify", "hints"),
    *("removal", "verification", "supervisor"),
)
ENDS = ("main", "journal", "catalog-writer")  # the process ends, for systemd to start it again
if not SOAK:
    AGAIN, ENDS = ("uploader-0", "inotify", "supervisor"), ("main", "catalog-writer")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("server")) as ready:
        yield ready


@pytest.fixture
def manager(tmp_path):
    return Manager(tmp_path / "notify")


class Lab:
    """A daemon whose threads falter when they are told to."""

    def __init__(self, folder, server, manager, **sections):
        self.api, self.folder, self.manager = Api(server), folder, manager
        self.order = folder / "order"
        for place in ("drop", "deriva-ml/execution"):
            (folder / place).mkdir(parents=True)
        sections["status"] = {"listen": "127.0.0.1:0"}
        self.config = write_config(folder / "daemon", server, folder, **sections)
        with self.config.open("a") as more:
            more.write(DROP.format(path=folder / "drop"))
        self.environment = {
            **os.environ,
            "FALTERING": str(self.order),
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": "1000000",
        }

    def daemon(self):
        """Run it."""
        return daemon(self.config, module="faltering", environment=self.environment)

    def bring(self):
        """Make work for every thread; return the RID of an execution."""
        rid = self.api.execution()
        root = self.folder / "deriva-ml/execution" / rid
        write_files(root, {f"{ASSETS}/a.bin": f"of {rid}"})
        write_files(self.folder / "drop", {f"{rid}.bin": f"dropped {rid}"})
        return rid

    def ask_health(self, running, within_s=30):
        """Ask for `/healthz`; return the status and what is in the way, None without an answer."""
        url = running.wait_for(lambda event: event["event"] == "status.listening")["url"]
        try:
            answer = requests.get(f"{url}healthz", timeout=within_s)
        except requests.Timeout:
            return None
        return answer.status_code, {each["about"] for each in answer.json()["reasons"]}

    def problem(self, thread):
        """Return what `status` says of a thread, or None."""
        found = summed_up(self.config)["problems"]
        return next((each for each in found if each["about"] == f"thread {thread}"), None)


@pytest.fixture
def lab(tmp_path, server, manager):
    return Lab(tmp_path, server, manager, completion={"quiet_s": 0.4})


def is_stuck(thread):
    return lambda event: (event["event"], event.get("thread")) == ("thread.stuck", thread)


@pytest.mark.parametrize("thread", HANGS)
def test_a_thread_that_hangs_is_told_and_the_watchdog_starves_until_it_goes_on(lab, thread):
    with lab.daemon() as running:
        wait_until(lambda: lab.manager.has_heard("WATCHDOG=1"))
        lab.order.write_text(f"{thread} hang")
        rid, before = lab.bring(), len(lab.manager.heard)
        if thread == "status page":
            assert lab.ask_health(running, within_s=2) is None

        said = running.wait_for(is_stuck(thread))
        assert f"the thread {thread} makes no progress" in said["what"]
        assert said["seconds"] >= SILENT_S
        told = wait_until(lambda: lab.problem(thread))
        assert (told["what"], told["why"]) == (said["what"], said["why"])
        assert summed_up(lab.config)["healthy"] is False
        if thread != "status page":
            status, reasons = lab.ask_health(running)
            assert (status, f"thread {thread}" in reasons) == (503, True)
        if thread != "supervisor":
            wait_until(lambda: lab.manager.has_heard(" makes no progress: ", after=before))
        since = lab.manager.until_now()
        time.sleep(0.5)
        assert not lab.manager.has_heard("WATCHDOG=1", after=since)

        lab.order.unlink()
        running.wait_for(lambda event: event["event"] == "thread.recovered")
        wait_until(lambda: lab.manager.has_heard("WATCHDOG=1", after=since))
        running.wait_for_state(rid, "uploaded")
        wait_until(lambda: not summed_up(lab.config)["problems"])


@pytest.mark.parametrize("thread", AGAIN)
def test_a_thread_that_ends_is_replaced_and_its_work_is_done(lab, thread):
    with lab.daemon() as running:
        lab.order.write_text(f"{thread} end")
        rid = lab.bring()

        if thread in {"inotify", "hints"}:  # its owner is the first to see it, or the supervisor
            running.wait_for(lambda event: event["event"] == "watch.lost")
        elif thread != "supervisor":  # which cannot speak of itself; systemd would
            said = running.wait_for(is_stuck(thread))
            assert f"the thread {thread} has ended" in said["what"]
            running.wait_for(lambda event: event["event"] == "thread.recovered")
        running.wait_for_state(rid, "uploaded")
        wait_until(lambda: not lab.order.exists())
        since = lab.manager.until_now()
        wait_until(lambda: lab.manager.has_heard("WATCHDOG=1", after=since))
        wait_until(lambda: not summed_up(lab.config)["problems"])


@pytest.mark.parametrize("thread", ENDS)
def test_a_thread_that_nothing_replaces_ends_the_daemon_and_the_next_one_goes_on(lab, thread):
    with lab.daemon() as running:
        lab.order.write_text(f"{thread} end")
        rid = lab.bring()

        assert running.process.wait(30) == 1
        lines = running.log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        assert thread == "main" or any(is_stuck(thread)(event) for event in events)
    with daemon(lab.config):  # the lanes and workers of the first one may have done it
        wait_until(lambda: lab.api.status(rid) == "Uploaded")


def test_a_daemon_that_was_stopped_as_a_whole_and_goes_on_accuses_no_thread(lab):
    with lab.daemon() as running:
        wait_until(lambda: lab.manager.has_heard("WATCHDOG=1"))
        os.kill(running.pid, signal.SIGSTOP)
        time.sleep(2 * SILENT_S)
        since = lab.manager.until_now()
        os.kill(running.pid, signal.SIGCONT)

        wait_until(lambda: lab.manager.has_heard("WATCHDOG=1", after=since))
        rid = lab.bring()
        running.wait_for_state(rid, "uploaded")
        assert not [event for event in running.events() if event["event"] == "thread.stuck"]


def test_a_server_that_takes_its_time_is_no_reason_to_accuse_a_thread(tmp_path, manager):
    """An answer may take `timeout_s`, far longer than a thread may be silent otherwise."""
    faults = tmp_path / "faults.json"
    stall = {"action": "stall", "method": "PUT", "route": "a[.]bin", "stall_s": 3 * SILENT_S}
    faults.write_text(json.dumps({"faults": [{**stall, "times": 1}]}))
    with sandbox(tmp_path / "server", faults=faults) as ready:
        lab = Lab(tmp_path, ready, manager, transfer={"timeout_s": 30})
        with lab.daemon() as running:
            rid, start_s = lab.bring(), time.monotonic()
            running.wait_for_state(rid, "uploaded")
            assert time.monotonic() - start_s > 2 * SILENT_S
            assert not [event for event in running.events() if event["event"] == "thread.stuck"]


@contextmanager
def small_disk(folder):
    """Let *folder* be a disk of its own."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2M", "none", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file):
    """Take all room that a disk has."""
    with suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(512))


def test_a_full_disk_is_told_by_status_and_the_page_though_nothing_can_be_written(lab):
    """What is told lies on the same disk."""
    state = lab.config.parent / "state"
    with small_disk(state), lab.daemon() as running:
        wait_until(lambda: lab.manager.has_heard("READY=1"))
        fill(state / "other")
        rid = lab.bring()

        found = wait_until(lambda: summed_up(lab.config)["problems"])
        assert found[0]["what"] == f"cannot write the journal {state}/journal.db"
        wait_until(lambda: lab.ask_health(running)[0] == 503)
        (state / "other").unlink()
        running.wait_for_state(rid, "uploaded")
        wait_until(lambda: not summed_up(lab.config)["problems"])


def test_systemd_waits_longer_for_a_large_journal(lab):
    """After a kill all of it is read; here 50 MB that are no journal."""
    journal = lab.config.parent / "state" / "journal.db"
    journal.parent.mkdir()
    journal.touch()
    os.truncate(journal, 50_000_000)

    with lab.daemon():
        wait_until(lambda: lab.manager.has_heard("READY=1"))

    assert [told for told in lab.manager.heard if "=1" in told or "EXTEND" in told][:2] == [
        "EXTEND_TIMEOUT_USEC=190000000",
        "READY=1\nSTATUS=watching",
    ]
