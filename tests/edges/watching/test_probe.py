"""What is tried in a root before it is watched, and what is chosen by it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from inotify_simple import flags

from deriva_watch.edges.watching import observer_choice
from deriva_watch.edges.watching.emitter import InotifyEmitter
from deriva_watch.edges.watching.observer_choice import Mode, choose
from deriva_watch.edges.watching.probe import ProbeResult, probe

RENAMED = flags.MOVED_FROM | flags.MOVED_TO


def test_a_local_folder_tells_of_every_change_and_nothing_is_left_in_it(tmp_path):
    before = set(threading.enumerate())

    found = probe(tmp_path)

    assert found.missing_event is None
    assert found.error is None
    assert found.time_step_s is not None
    assert found.time_step_s < 1
    assert list(tmp_path.iterdir()) == []
    assert not set(threading.enumerate()) - before


def test_a_change_whose_event_never_comes_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("deriva_watch.edges.watching.probe._WAIT_S", 0.05)
    take = InotifyEmitter._take
    monkeypatch.setattr(
        InotifyEmitter, "_take", lambda self, event: event.mask & RENAMED or take(self, event)
    )

    assert probe(tmp_path).missing_event == "a renamed file"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_says_why(tmp_path):
    tmp_path.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        tmp_path.parent.chmod(0o755)
        folder = Path("/proc/self")  # where even root may not
    else:
        folder = tmp_path

    assert probe(folder).error


KILLED = """
import sys, time
from pathlib import Path
from deriva_watch.edges.watching import probe
probe._missing_event = lambda *_: (print("at it", flush=True), time.sleep(60))
probe.probe(Path(sys.argv[1]))
"""


def test_what_a_killed_try_left_behind_is_cleared_away_by_the_next(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"at it\n"
        other = probe(tmp_path)  # leaves one alone that is under way
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(signal.SIGKILL)
    (tmp_path / ".deriva-watch-123").touch()
    (tmp_path / ".deriva-watch-probe-link").symlink_to(tmp_path)

    assert probe(tmp_path) == other
    assert {path.name for path in tmp_path.iterdir()} == {
        ".deriva-watch-123",
        ".deriva-watch-probe-link",
    }


@pytest.mark.parametrize(
    "case",
    [
        ("ext4", "auto", ProbeResult(), Mode.NATIVE, "events arrive"),
        ("ext4", "auto", ProbeResult(missing_event="a file"), Mode.POLLING, "no event for a file"),
        ("ext4", "auto", ProbeResult(error="Read-only"), Mode.NATIVE, "ext4 reports changes"),
        ("nfs4", "auto", ProbeResult(), Mode.POLLING, "other hosts can change nfs4"),
        ("nfs4", "native", ProbeResult(), Mode.NATIVE, "settings"),
        ("ext4", "polling", ProbeResult(), Mode.POLLING, "settings"),
    ],
)
def test_the_choice_follows_the_settings_the_file_system_and_the_try(tmp_path, monkeypatch, case):
    kind, wanted, found, mode, why = case
    monkeypatch.setattr(observer_choice, "file_system", lambda _: kind)

    chosen = choose(tmp_path, wanted, lambda _: found)

    assert chosen.mode is mode
    assert why in chosen.why
    assert chosen.file_system == kind


def test_a_network_file_system_is_not_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(observer_choice, "file_system", lambda _: "nfs4")
    before_ns = tmp_path.stat().st_mtime_ns
    time.sleep(0.01)

    choose(tmp_path, "auto", probe)

    assert tmp_path.stat().st_mtime_ns == before_ns
