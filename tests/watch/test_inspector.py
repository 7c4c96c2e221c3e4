"""When the daemon takes a directory for complete: by its own looks, and by what it kept of them."""

import json
import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from deriva_watch.commands.dry_run import expected_verdict
from deriva_watch.core.changes import KeepDigest, NoteExecution
from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.records import ContentDigest
from deriva_watch.edges.disk.open_files import holders
from deriva_watch.edges.host import machine
from deriva_watch.edges.watching import mounts
from deriva_watch.watch import evidence_history
from deriva_watch.watch.inspector import Inspector
from deriva_watch.watch.prehash import Prehash
from running import wait_until

FILE = "execution-asset/Model_File/a.bin"
QUIET_S = 0.3
POLICY = CompletionPolicy(quiet_s=QUIET_S, quiet_after_signal_s=0.1, grace_s=0.1)
DAY_S = 86400


class Watching:
    """An inspector of one directory."""

    def __init__(self, rig, policy=POLICY, **more):
        self.rig, self.prefix = rig, rig.settings.watch[0].prefix
        self.inspector = Inspector.of(rig.parts, policy, **more)

    def look(self):
        """Look once; return where the execution stands."""
        self.inspector.look(self.rig.unit)
        return self.record().state

    def record(self):
        """Return what the journal has of it."""
        return self.rig.journal.find(self.rig.parts.server, str(self.prefix), self.rig.rid)


def created(lab):
    """Let nobody's word shorten the wait."""
    lab.rid = lab.api.execution("Created")


@pytest.mark.parametrize("skew_s", [-9000 * DAY_S, 9000 * DAY_S])
def test_times_of_files_neither_hold_a_directory_nor_make_it_complete(lab, skew_s):
    """A copy keeps old times; a file server has a clock of its own."""
    created(lab)
    file = lab.write({FILE: "a"}) / FILE
    os.utime(file, (time.time() + skew_s,) * 2)
    with lab.rigged() as rig:
        watching, start_s = Watching(rig), time.monotonic()

        assert watching.look() == "filling"
        wait_until(lambda: watching.look() == "ready")
        assert time.monotonic() - start_s >= QUIET_S


def test_no_look_asks_for_the_execution_twice(lab):
    created(lab)
    lab.write({FILE: "a"})
    with lab.rigged() as rig:
        watching, states = Watching(rig), []

        wait_until(lambda: states.append(watching.look()) or states[-1] == "ready")

        assert rig.power.names.count("catalog.execution") == len(states)


def test_a_file_that_gets_another_time_was_changed(lab):
    created(lab)
    file = lab.write({FILE: "a"}) / FILE
    with lab.rigged() as rig:
        watching = Watching(rig)
        watching.look()
        time.sleep(QUIET_S)
        os.utime(file, (0, 0))

        assert watching.look() == "filling"
        wait_until(lambda: watching.look() == "ready")


def test_what_a_writer_added_and_closed_between_look_and_question_is_seen(lab, monkeypatch):
    created(lab)
    file = lab.write({FILE: "a"}) / FILE
    asked = []

    def closing(looks):
        if not asked:
            file.write_text("ab")
        asked.append(looks)
        return holders(looks)

    monkeypatch.setattr(evidence_history, "holders", closing)
    with lab.rigged() as rig:
        watching = Watching(rig)
        wait_until(lambda: watching.look() and asked)

        assert watching.record().state == "filling"
        wait_until(lambda: watching.look() == "ready")
        assert watching.record().verdict["size_bytes"] == len("ab")


@pytest.mark.skipif(
    not mounts.is_local(mounts.file_system(os.path.realpath("/tmp"))) or machine.is_shared(),
    reason="others may write to the file system of the tests",
)
@pytest.mark.parametrize("same_machine", [True, False])
def test_a_run_that_says_running_ended_with_its_machine(lab, same_machine):
    lab.rid = lab.api.execution("Running")
    lab.write({FILE: "a"})
    with lab.rigged() as rig:
        before = Watching(rig)
        assert before.look() == "filling"
        record = before.record()
        start = f"{machine.start().partition('/')[0] if same_machine else 'another'}/earlier"
        verdict = {**record.verdict, "boot": start}
        rig.journal.commit([NoteExecution(record.id, {"verdict": verdict})])

        after = Watching(rig)
        after.look()
        time.sleep(QUIET_S)

        assert after.look() == ("ready" if same_machine else "filling")
        if same_machine:
            assert "this machine was restarted" in after.record().verdict["why"]


@pytest.mark.parametrize(("clock_was_set", "state"), [(False, "ready"), (True, "filling")])
def test_the_wait_for_a_dead_run_goes_on_after_a_restart(lab, clock_was_set, state):
    lab.rid = lab.api.execution("Running")
    lab.write({FILE: "a"})
    with lab.rigged() as rig:
        before = Watching(rig)
        before.look()
        record = before.record()
        since = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
        verdict = {**record.verdict, "same_since": since}
        rig.journal.commit([NoteExecution(record.id, {"verdict": verdict})])

        after = Watching(rig, replace(POLICY, max_running_s=3600))
        if clock_was_set:
            after.inspector.forget_all()
        after.look()
        time.sleep(QUIET_S)

        assert after.look() == state


def test_a_partial_file_holds_until_it_has_its_name(lab):
    created(lab)
    root = lab.write({FILE: "a", f"{FILE}.part": "b"})
    with lab.rigged() as rig:
        watching = Watching(rig, replace(POLICY, quiet_max_s=1000))
        watching.look()
        time.sleep(QUIET_S)
        assert watching.look() == "filling"
        assert (
            watching.record()
            .verdict["why"]
            .startswith(f"{FILE}.part has the name of a partial file")
        )

        (root / f"{FILE}.part").rename(root / "execution-asset/Model_File/b.bin")

        wait_until(lambda: watching.look() == "ready")


@pytest.mark.parametrize(("quiet_max_s", "state"), [(QUIET_S, "ready"), (1000, "filling")])
def test_a_partial_file_that_was_left_behind_holds_for_the_longest_quiet_period(
    lab, quiet_max_s, state
):
    created(lab)
    lab.write({FILE: "a", "b.crdownload": "b"})
    with lab.rigged() as rig:
        watching = Watching(rig, replace(POLICY, quiet_max_s=quiet_max_s))
        watching.look()
        time.sleep(QUIET_S)

        assert watching.look() == state


@pytest.mark.parametrize(
    ("status", "waits", "why"),
    [
        ("Created", {"quiet_s": 0}, None),
        ("Failed", {"quiet_after_signal_s": 0}, None),
        ("Created", {"quiet_s": 500}, "unchanged for "),
        ("Stopped", {"quiet_after_signal_s": 0, "grace_s": 500}, "its status is Stopped"),
        ("Running", {"quiet_s": 0}, "its status is Running"),
        ("Pending_Upload", {"quiet_s": 0}, "its status is Pending_Upload"),
    ],
)
def test_one_look_tells_what_times_and_statuses_say(lab, status, waits, why):
    lab.rid = lab.api.execution(status)
    lab.write({FILE: "a"})
    with lab.rigged(completion=waits) as rig:
        seen = rig.parts.unit_reader.look(rig.unit)

        told = expected_verdict(rig.parts.unit_reader, rig.catalog, rig.unit, seen, None)

    assert told.is_complete == (why is None)
    assert [each.startswith(why) for each in told.missing] == [True] * bool(why)


def test_a_directory_that_fills_is_hashed_and_its_upload_reads_nothing_again(lab):
    lab.rid = lab.api.execution("Running")
    root = lab.write({FILE: "a", "half.part": "b"})
    with lab.rigged() as rig:
        ahead = Prehash(rig.journal, rig.events.append, stable_s=0.1)
        ahead.start(lambda work: work())
        watching = Watching(rig, prehash=ahead)
        again_at = watching.inspector.look(rig.unit).again_at
        assert again_at <= datetime.now(UTC) + timedelta(seconds=0.1)
        hashed = partial(rig.journal.digests, watching.record().id)
        wait_until(lambda: watching.look() and hashed())
        ahead.end(1)

        (root / "half.part").unlink()
        assert rig.upload().state == "uploaded"

        assert not [path for path, phase, _ in rig.moved if phase == "hash"]


def test_digests_of_a_directory_that_went_away_are_forgotten(lab):
    created(lab)
    root = lab.write({FILE: "a"})
    with lab.rigged() as rig:
        watching = Watching(rig)
        watching.look()
        number, file = watching.record().id, rig.parts.unit_reader.look(rig.unit).entries[FILE]
        known = file.size_bytes, file.mtime_ns, file.device, file.inode, "0" * 32, "0" * 64
        rig.journal.commit([KeepDigest(ContentDigest(number, *known))])
        shutil.rmtree(root)

        assert watching.look() == "gone"
        assert not rig.journal.digests(number)


def test_a_copy_that_brought_the_manifest_first_is_waited_for(lab):
    created(lab)
    manifest = {"version": 1, "assets": {"Execution_Asset/late.bin": {"status": "pending"}}}
    lab.write({FILE: "a", "asset-manifest.json": json.dumps(manifest)})
    with lab.rigged() as rig:
        watching = Watching(rig)
        watching.look()
        time.sleep(QUIET_S)
        assert watching.look() == "filling"
        assert (
            "late.bin is listed in the manifest or workspace but does not exist"
            in watching.record().verdict["why"]
        )

        lab.write({"assets/Execution_Asset/late.bin": "late"})

        wait_until(lambda: watching.look() == "ready")
