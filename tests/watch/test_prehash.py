"""Files are hashed while their directory is filling, and not read again at its upload."""

import os
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from deriva_watch import liveness
from deriva_watch.core.completeness.observation import Entry, Kind, Observation
from deriva_watch.core.errors import FileChangedError
from deriva_watch.daemon.hangs import Hangs
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.journal import Journal
from deriva_watch.liveness import depending_on
from deriva_watch.watch.prehash import Prehash
from pipeline.drops import DropLab, Instrument
from running import wait_until

PATHS = [f"execution-asset/Model_File/{name}.bin" for name in "abc"]
START = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1024**3


class Reading:
    """A directory that knows which of its files were opened."""

    def __init__(self, disk):
        self._disk, self.root, self.opened = disk, disk.root, []

    def open(self, entry):
        """Open a file."""
        self.opened.append(entry.path)
        return self._disk.open(entry)

    def verify(self, entry):
        """Look again."""
        self._disk.verify(entry)


@contextmanager
def hashing(journal, emit=lambda _event: None, **more):
    """Run what hashes ahead."""
    ahead = Prehash(journal, emit, **{"stable_s": 0.0} | more)
    ahead.start(lambda work: work())
    try:
        yield ahead
    finally:
        ahead.end(5)


def looked(rig, ahead):
    """Let it consider the directory once; return its disk, the record and what was seen."""
    prefix = rig.settings.watch[0].prefix
    record = rig.journal.open_execution(rig.parts.server, str(prefix), rig.rid)
    disk = Reading(rig.parts.unit_reader.directory(rig.unit))
    seen = rig.parts.unit_reader.look(rig.unit)
    ahead.consider(record, disk, seen, set())
    return disk, record, seen


def known(rig, record):
    return {digest.stamp for digest in rig.journal.digests(record.id)}


def test_what_was_hashed_while_filling_is_not_read_again_but_what_changed_is(lab):
    table = "table/demo/Subject/Subject.csv"
    root = lab.write({path: path * 100 for path in PATHS} | {table: "Name\nahead\n"})
    with lab.rigged() as rig:
        with hashing(rig.journal) as ahead:
            _, record, seen = looked(rig, ahead)
            wait_until(lambda: len(known(rig, record)) == len(seen.entries))
        (root / PATHS[1]).write_text("changed")

        assert rig.upload().state == "uploaded"

        assert {path for path, phase, _ in rig.moved if phase == "hash"} == {PATHS[1]}
        hashed = [event.path for event in rig.told("file.hashed")]
        assert sorted(hashed) == sorted([*PATHS, table])
        rows = {row["Filename"]: row for row in lab.api.rows("deriva-ml:Execution_Asset")}
        assert {rows[Path(path).name]["Length"] for path in PATHS} == {7, len(PATHS[0]) * 100}
        assert not rig.journal.digests(record.id)  # used once


def test_a_process_that_starts_over_reads_nothing_twice(lab):
    lab.write({path: path for path in PATHS})
    with lab.rigged() as rig, hashing(rig.journal) as ahead:
        _, record, _ = looked(rig, ahead)
        wait_until(lambda: len(known(rig, record)) == len(PATHS))
    lab.write({"execution-asset/Model_File/late.bin": "late"})

    with lab.rigged() as rig, hashing(rig.journal) as ahead:
        disk, record, seen = looked(rig, ahead)
        wait_until(lambda: len(known(rig, record)) == len(seen.entries))

    assert disk.opened == ["execution-asset/Model_File/late.bin"]


def test_what_is_uploaded_already_is_not_read_for_a_late_file(lab):
    record, _ = lab.upload({path: path for path in PATHS})
    assert record.state == "uploaded"
    lab.write({"execution-asset/Model_File/late.bin": "late"})

    with lab.rigged() as rig, hashing(rig.journal) as ahead:
        disk, record, _ = looked(rig, ahead)
        wait_until(lambda: known(rig, record))

    assert disk.opened == ["execution-asset/Model_File/late.bin"]


def test_a_file_that_somebody_holds_open_is_read_once_it_is_closed(lab):
    root = lab.write({path: path for path in PATHS})
    script = f'exec 3>>"{root / PATHS[0]}"; echo ready; read _'
    with lab.rigged() as rig, hashing(rig.journal) as ahead:
        with subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout.readline() == b"ready\n"
            disk, record, seen = looked(rig, ahead)
            wait_until(lambda: len(known(rig, record)) == 2)
            assert seen.entries[PATHS[0]].stamp not in known(rig, record)
            assert PATHS[0] not in disk.opened
            writer.communicate(b"\n")

        ahead.consider(record, disk, seen, set())
        wait_until(lambda: len(known(rig, record)) == 3)


@contextmanager
def endless(lab):
    """Hash a file that takes minutes; yield what does it, the events, and its process."""
    root, events = lab.write({PATHS[1]: "small"}), []
    (root / PATHS[0]).touch()
    os.truncate(root / PATHS[0], 100 * GIB)  # a hole costs no room
    with lab.rigged() as rig, hashing(rig.journal, events.append) as ahead:
        _, record, _ = looked(rig, ahead)
        process = wait_until(lambda: ahead._process._process)
        yield rig, ahead, record, events, process


def test_it_runs_at_idle_priority_and_stops_at_once(lab):
    with endless(lab) as (_, ahead, _, events, process):
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
        ahead.end(30)
        assert not ahead._thread.is_alive()
    assert process.returncode is not None
    assert events == []


def test_a_directory_that_is_complete_is_left_to_its_upload(lab):
    with endless(lab) as (rig, ahead, record, _, process):
        ahead.forget(record.id)

        wait_until(lambda: process.returncode is not None)
        assert not known(rig, record)


def test_a_process_that_was_killed_is_told_once_and_the_next_file_has_another(lab):
    with endless(lab) as (rig, _, record, events, process):
        process.kill()

        wait_until(lambda: len(known(rig, record)) == 1)
    [told] = events
    assert "the process that hashes has ended" in told.why


def test_a_batch_that_forms_brings_the_digests_of_its_files(tmp_path, ready):
    lab = DropLab(tmp_path, ready, batch_s=1.0)
    folder = lab.drop({"a.bin": f"a {lab.rid}", "b.bin": f"b {lab.rid}", "late.bin.part": "late"})
    os.link(folder / "a.bin", folder / "c.bin")
    with lab.rigged() as rig:
        with hashing(rig.journal) as ahead:
            instrument = Instrument(rig, lab.path, ahead)
            instrument.look()
            wait_until(lambda: len(ahead._loose[lab.path]) == 2)
            assert not instrument.units()
            wait_until(lambda: instrument.look() or instrument.units())
            [unit] = instrument.units()

        assert len(rig.journal.digests(unit.id)) == 2
        assert instrument.upload() == {unit.rid: "uploaded"}
        assert not [path for path, phase, _ in rig.moved if phase == "hash"]
    assert lab.linked().keys() == {"a.bin", "b.bin", "c.bin"}


# ---------------------------------------------------------------------- when


@pytest.fixture
def idle(tmp_path):
    """Return what would hash, without its thread, and an execution."""
    with Journal.open(f"sqlite:///{tmp_path / 'journal.db'}", emit=lambda _: None) as journal:
        yield Prehash(journal, print), journal.open_execution("host/1", str(tmp_path), "1-ABC")


def considered(idle, at_s, *entries, leave=()):
    """Return after how many seconds from the start it wants the next look, or None."""
    ahead, record = idle
    seen = Observation(
        "/d/1-ABC", {e.path: e for e in entries}, START + timedelta(seconds=at_s), {}
    )
    again_at = ahead.consider(record, None, seen, leave)
    return again_at and (again_at - START).total_seconds()


def asked(idle):
    return idle[0]._jobs.qsize()


FILE = Entry("a.bin", 5, 0, 1, 1)


def test_a_file_is_read_once_it_was_found_unchanged_for_a_while(idle):
    assert considered(idle, 0, FILE) == 5
    assert considered(idle, 3, FILE, Entry("b.bin", 5, 0, 1, 2)) == 5
    assert asked(idle) == 0
    assert considered(idle, 5, FILE, Entry("b.bin", 5, 0, 1, 2)) == 8
    assert asked(idle) == 1
    assert considered(idle, 100, FILE) is None
    assert asked(idle) == 1


@pytest.mark.parametrize(
    "entry",
    [
        Entry("a.part", 5, 0, 1, 1, kind=Kind.IGNORED),
        Entry("pipe", 5, 0, 1, 1, kind=Kind.UNUSABLE),
        Entry("empty.bin", 0, 0, 1, 1),
        Entry("left.bin", 5, 0, 1, 1),
    ],
)
def test_what_is_not_worth_it_is_not_read(idle, entry):
    assert considered(idle, 0, entry, leave={"left.bin"}) is None


def test_a_file_that_is_written_over_and_over_is_read_ever_more_seldom(idle):
    at_s = 0
    for wait_s in (5, 10, 20, 40):
        changed = replace(FILE, mtime_ns=at_s)
        assert considered(idle, at_s, changed) == at_s + wait_s
        at_s += wait_s
        assert considered(idle, at_s, changed) is None
        at_s += 1

    assert asked(idle) == 4


def test_two_names_of_one_file_are_read_once(idle):
    link = replace(FILE, path="asset/a.bin", link=True, target="/d/1-ABC/a.bin")

    assert considered(idle, 0, FILE, link) == 5
    assert considered(idle, 5, FILE, link) is None
    assert asked(idle) == 1


class Hung(Reading):
    """A directory in a root that does not answer: opening a pipe that nobody writes to hangs."""

    def __init__(self, disk, pipe):
        super().__init__(disk)
        os.mkfifo(pipe)
        self.pipe = pipe

    def open(self, entry):
        """Hang."""
        self.opened.append(entry.path)
        with depending_on("/hung"):
            self.pipe.read_bytes()
        raise FileChangedError(entry.path)

    def answer(self):
        """Let it go on."""
        os.close(os.open(self.pipe, os.O_RDWR))


def test_a_root_that_hangs_keeps_no_file_of_others_from_being_hashed(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(liveness, "METADATA_S", 0.1)
    lab.write({PATHS[0]: "a"})
    with lab.rigged() as rig, hashing(rig.journal) as ahead:
        replace_it = {"hasher": partial(ahead.start, lambda work: work())}
        hangs = Hangs("-", Problems(tmp_path, lambda _: None), lambda _: None, replace_it)
        disk = rig.parts.unit_reader.directory(rig.unit)
        record = rig.journal.open_execution(rig.parts.server, str(rig.unit.prefix), rig.rid)
        seen = rig.parts.unit_reader.look(rig.unit)
        hung, left_behind = Hung(disk, tmp_path / "pipe"), ahead._thread
        ahead.consider(record, hung, seen, set())
        wait_until(lambda: hung.opened)
        ahead.forget(record.id)

        ahead.consider(record, disk, seen, set())
        wait_until(lambda: (hangs.tend(), known(rig, record))[1])
        assert left_behind.is_alive()
        assert ahead._thread is not left_behind

        hung.answer()
        wait_until(lambda: not left_behind.is_alive())
