"""Killed at any moment, or on a full disk: the journal tells the truth afterwards."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import suppress

import pytest

from deriva_watch.core.changes import AddFile, MoveFile
from deriva_watch.core.errors import TransientError
from deriva_watch.core.states import FileState, FileTrigger, file_after
from deriva_watch.edges.journal import Journal

PLACE = ("example.org/1", "/data", "4-AB2C")

WRITER = """
import itertools, json, os, sys
from concurrent.futures import ThreadPoolExecutor
from deriva_watch.core.changes import (AddFile, MoveFile)
from deriva_watch.core.states import FILE_TRANSITIONS, FileState
from deriva_watch.edges.journal import Journal

def emit(event):
    line = [getattr(event, "path", None), event.before, event.state, event.trigger]
    os.write(1, json.dumps(line).encode() + b"\\n")

def work(name):
    for turn in itertools.count():
        paths = [f"{os.getpid()}/{name}/{turn}/{i}" for i in range(3)]
        numbers = journal.commit([AddFile(execution.id, path, {}) for path in paths])
        state = FileState.FOUND
        for step in range(8):
            roads = sorted(FILE_TRANSITIONS[state].items())
            trigger, state = roads[(turn + step) % len(roads)]
            journal.commit([MoveFile(number, trigger) for number in numbers])

with Journal.open(sys.argv[1], emit=emit) as journal:
    execution = journal.open_execution("example.org/1", "/data", "4-AB2C")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
"""


def test_a_killed_daemon_leaves_no_state_without_history_and_no_event_without_commit(tmp_path):
    """Four threads write until kill -9, three times over; what was reported is in the journal."""
    url = f"sqlite:///{tmp_path}/journal.db"
    reported = []
    for lines in (1, 200, 999):
        reported += events_until_killed(url, lines)

    with Journal.open(url, emit=lambda _: None) as journal:
        execution = journal.find(*PLACE)
        files = {file.id: file for file in journal.files(execution.id)}
        history = journal.history(execution.id)

    last = defaultdict(lambda: None)
    for line in history:
        assert line.before == last[line.file_id]
        assert line.trigger is None or line.after == file_after(
            FileState(line.before), FileTrigger(line.trigger)
        )
        last[line.file_id] = line.after
    assert {number: file.state for number, file in files.items()} | {None: "filling"} == last
    told = [
        [line.file_id and files[line.file_id].path, line.before, line.after, line.trigger]
        for line in history
    ]
    remaining = iter(told)
    assert all(event in remaining for event in reported)  # in the order of the history


def events_until_killed(url, lines):
    """Return the events that a daemon reports before it is killed, after *lines* of them."""
    daemon = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE)
    head = [daemon.stdout.readline() for _ in range(lines)]
    daemon.send_signal(signal.SIGKILL)
    rest = daemon.communicate()[0].splitlines(keepends=True)
    return [json.loads(line) for line in head + rest if line.endswith(b"\n")]


SQUEEZED = """
import resource, sys
from deriva_watch.core.errors import TransientError
from deriva_watch.core.changes import (AddFile)
from deriva_watch.edges.journal import Journal

events = []
journal = Journal.open(sys.argv[1], emit=events.append)
execution = journal.open_execution("example.org/1", "/data", "4-AB2C")
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, most))
added = 0
try:
    while True:
        added += len(journal.commit([AddFile(execution.id, f"{added}-{i}", {}) for i in range(50)]))
except TransientError as error:
    print(error.what.split()[:4], len(journal.files(execution.id)) == added == len(events) - 1 > 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print(len(journal.commit([AddFile(execution.id, "later", {})])), len(events) - added)
journal.close()
"""


def test_a_write_that_fails_is_heard_and_the_next_one_succeeds(tmp_path):
    """The files may not grow (RLIMIT_FSIZE), then they may again."""
    command = [sys.executable, "-c", SQUEEZED, f"sqlite:///{tmp_path}/journal.db"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    assert said == "['cannot', 'write', 'the', 'journal'] True\n1 2\n"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, where the machine lets us mount one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "deriva-watch-test", tmp_path]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_stops_the_unit_that_writes_and_nothing_else(small_disk):
    events, ballast = [], small_disk / "ballast"
    with Journal.open(f"sqlite:///{small_disk}/journal.db", emit=events.append) as journal:
        execution = journal.open_execution(*PLACE)
        [number] = journal.commit([AddFile(execution.id, "a.tif", {})])
        fill_up(ballast)
        hundred = [AddFile(execution.id, str(i), {}) for i in range(100)]

        with pytest.raises(TransientError, match=r"cannot write the journal .*full"):
            journal.commit([MoveFile(number, FileTrigger.HASHED), *hundred])
        assert [file.state for file in journal.files(execution.id)] == [FileState.FOUND]
        assert len(events) == 2

        ballast.unlink()
        journal.commit([MoveFile(number, FileTrigger.HASHED)])
        assert [event.state for event in events] == ["filling", "found", "hashed"]


def fill_up(path):
    with suppress(OSError), path.open("wb", 0) as file:
        while True:
            file.write(bytes(4096))
