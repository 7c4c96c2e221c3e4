"""Execution directories are emptied when their time has come; a crash at any step loses nothing."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from deriva_watch.cleanup import retention
from deriva_watch.cleanup.policy import reclaim_policy
from deriva_watch.cleanup.retention import Retention
from deriva_watch.cleanup.scheduler import Scheduler
from deriva_watch.cleanup.unit_cleaner import UnitCleaner
from deriva_watch.core.errors import ServerAwayError
from deriva_watch.core.orders.orders import Reclaim
from deriva_watch.core.states import ExecutionState
from deriva_watch.edges.disk import removal
from deriva_watch.edges.disk.scanning import dangling_links
from deriva_watch.edges.host.spool import Orders
from engine.rig import Crash, Power, instead, write_files

FILE, LINK = "assets/Execution_Asset/a.bin", "execution-asset/Model_File/a.bin"
OTHER = "assets/Execution_Asset/b.bin"
DAY = timedelta(days=1)


@pytest.fixture
def root(lab):
    """An execution that is uploaded: a file with a link to it, and a file."""
    root = lab.write({FILE: f"{lab.rid} a", OTHER: f"{lab.rid} b"})
    (root / LINK).parent.mkdir(parents=True)
    (root / LINK).symlink_to(f"../../{FILE}")
    with lab.rigged() as rig:
        assert rig.upload().state is ExecutionState.UPLOADED
    return root


def work_of(rig, again=None):
    """Return the scheduler of a daemon without drop folders."""
    cleaner = UnitCleaner.of(rig.parts, threading.Event(), (again or []).append)
    retention = Retention(cleaner, rig.parts.server_time)
    orders = Orders(rig.settings.state_directory / "orders")
    return Scheduler(cleaner, retention, orders, rig.settings, {})


def lying(root):
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if (path.is_file() or path.is_symlink()) and path.parent != root
    }


def is_unchanged(rig):
    """Tell whether a look finds just what is called uploaded."""
    (record,) = rig.journal.executions(rid=rig.rid)
    seen = rig.parts.unit_reader.look(rig.unit)
    return record.state is ExecutionState.UPLOADED and seen.digest() == record.digest


def test_what_is_old_enough_by_both_clocks_goes_with_its_links(lab, root):
    """Neither this host's clock nor the server's alone, set forward, makes anything old."""
    with lab.rigged(reclaim={"mode": "after_days", "after_days": 30}) as rig:
        work, now = work_of(rig), datetime.now(UTC)
        for ours, theirs in ((0, 0), (40, 0), (0, 40), (40, 20)):
            work.retention.now = lambda ours=ours: now + ours * DAY
            work.retention.server_time = lambda theirs=theirs: now + theirs * DAY
            work.clean_executions()
            assert lying(root) == {FILE, LINK, OTHER}

        work.retention.server_time = lambda: now + 40 * DAY
        work.clean_executions()
        assert lying(root) == set()
        assert root.is_dir()
        assert is_unchanged(rig)
        assert len(rig.told("file.removed")) == 2
        (record,) = rig.journal.executions(rid=rig.rid)
        assert record.removal == {"done": True}


@pytest.mark.parametrize(("mode", "left"), [("never", {FILE, LINK, OTHER}), ("after_days", set())])
def test_the_settings_say_whether_anything_goes(lab, root, mode, left):
    with lab.rigged(reclaim={"mode": mode, "after_days": 0}) as rig:
        work_of(rig).clean_executions()
    assert lying(root) == left


def test_under_pressure_the_oldest_go_until_there_is_room(lab, root, monkeypatch):
    later = lab.beside()
    later_root = later.write({OTHER: f"{later.rid} later"})
    with later.rigged(reclaim={"mode": "disk_pressure", "after_days": 0}) as rig:
        assert rig.upload().state is ExecutionState.UPLOADED
        work = work_of(rig)
        room = SimpleNamespace(f_bavail=50, f_blocks=100)
        monkeypatch.setattr(
            retention.os, "statvfs", lambda _: room if lying(root) == set() else full
        )
        full = room
        work.clean_executions()
        assert lying(root) == {FILE, LINK, OTHER}

        full = SimpleNamespace(f_bavail=9, f_blocks=100)
        work.clean_executions()
        assert lying(root) == set()
        assert lying(later_root) == {OTHER}


def test_an_order_lies_there_until_it_is_carried_out(lab, root):
    with lab.rigged() as rig:
        work = work_of(rig)
        order = Reclaim(by="somebody", rids=(lab.rid,), older_than_s=0.0)
        path = work.orders.leave(order)
        work.cleaner.breaker.error = RuntimeError("closed")
        work.carry_out_orders()
        assert path.exists()

        work.cleaner.breaker.error = None
        work.carry_out_orders()
        assert not path.exists()
        assert lying(root) == set()


def test_a_server_that_does_not_tell_the_time_closes_the_gate(lab, root):
    with lab.rigged() as rig:
        work = work_of(rig)
        path = work.orders.leave(Reclaim(by="somebody", older_than_s=0.0))
        away = ServerAwayError("cannot ask", "no answer")
        work.retention.server_time = instead(away)
        work.carry_out_orders()

        assert work.cleaner.breaker.error is away
        assert path.exists()
    assert lying(root) == {FILE, LINK, OTHER}


def test_where_nothing_is_left_to_remove_a_stray_file_is_no_trouble(lab, root):
    with lab.rigged(reclaim={"mode": "after_days", "after_days": 0}) as rig:
        work = work_of(rig)
        work.clean_executions()
        (root / ".DS_Store").write_bytes(b"of a person who looked at it")
        assert is_unchanged(rig)

        (record,) = rig.journal.executions(rid=rig.rid)
        assert work.cleaner.clean(record, reclaim_policy(record))
        assert not rig.told("removal.blocked")


def test_what_comes_later_does_not_miss_what_was_removed(lab):
    """Also where a manifest names it still."""
    entries = {"Execution_Asset/a.bin": {"asset_table": "Execution_Asset", "schema": "deriva-ml"}}
    manifest = json.dumps({"version": 1, "execution_rid": lab.rid, "assets": entries})
    root = lab.write({FILE: f"{lab.rid} a", "asset-manifest.json": manifest})
    with lab.rigged(reclaim={"mode": "after_days", "after_days": 0}) as rig:
        assert rig.upload().state is ExecutionState.UPLOADED
        work_of(rig).clean_executions()
        assert lying(root) == set()

        write_files(root, {OTHER: f"{lab.rid} b", "asset-manifest.json": manifest})
        record = rig.upload()
    assert record.state is ExecutionState.UPLOADED, record.why
    assert lab.states() == {FILE: "removed", OTHER: "linked"}


# ------------------------------------------------------------------ attacks


@pytest.mark.parametrize("where", ["file", "folder"])
def test_what_is_exchanged_between_verification_and_removal_stays(lab, root, where, monkeypatch):
    """For a link to something of the same name elsewhere."""
    away = lab.folder / "away"
    ask = removal.Aside.unlink

    def exchange(aside):
        if aside.path.endswith(FILE):
            target = root / FILE if where == "file" else root / "assets/Execution_Asset"
            if where == "folder":
                target.rename(away)
            target.symlink_to(away)
        ask(aside)

    with lab.rigged(reclaim={"mode": "after_days", "after_days": 0}) as rig:
        monkeypatch.setattr(removal.Aside, "unlink", exchange)
        work_of(rig).clean_executions()
    if where == "folder":
        assert f"{lab.rid} a" in {f.read_text() for f in away.rglob("*") if f.is_file()}
        assert lab.states()[FILE] == "linked"
    else:
        assert (root / FILE).is_symlink()


def test_a_link_that_was_exchanged_for_a_file_stays(lab, root, monkeypatch):
    ask = removal.Aside.unlink

    def exchange(aside):
        ask(aside)
        (root / LINK).unlink(missing_ok=True)
        (root / LINK).write_text("data")

    with lab.rigged(reclaim={"mode": "after_days", "after_days": 0}) as rig:
        monkeypatch.setattr(removal.Aside, "unlink", exchange)
        work_of(rig).clean_executions()
    assert (root / LINK).read_text() == "data"


# ------------------------------------------------------------------ the process dies


STEPS = {
    "aside": (removal.Aside, "__enter__"),
    "unlinked": (removal.Aside, "unlink"),
    "a link aside": (dangling_links.open_folders, "rename_new"),
    "links": (dangling_links, "remove"),
}


@contextmanager
def dying(monkeypatch, step, number):
    """Let the process die after a step was done so often."""
    owner, name = STEPS[step]
    function, seen = getattr(owner, name), []

    def call(*arguments, **options):
        result = function(*arguments, **options)
        seen.append(None)
        if len(seen) == number:
            raise Crash
        return result

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, call)
        yield


@pytest.mark.parametrize(
    ("step", "number"),
    [
        *(("aside", 1), ("aside", 2), ("unlinked", 1), ("unlinked", 2), ("a link aside", 1)),
        *(("links", 1), ("links", 2), ("mark", 1), ("commit", 1)),
    ],
)
def test_a_crash_after_any_step_leaves_no_file_unsafe_and_no_link_dangling(
    lab, root, step, number, monkeypatch
):
    power = {"mark": Power("journal.commit", 0, after=True), "commit": Power("journal.commit", 1)}
    after = {"mode": "after_days", "after_days": 0}
    with (
        dying(monkeypatch, step if step in STEPS else "aside", number if step in STEPS else 9),
        lab.rigged(power=power.get(step), reclaim=after) as rig,
        pytest.raises(Crash),
    ):
        work_of(rig).clean_executions()

    with lab.rigged(reclaim=after) as rig:
        work = work_of(rig)
        work.cleaner.recover(reclaim_policy)

        assert is_unchanged(rig)
        for path in (FILE, OTHER):
            assert (lab.states()[path] == "removed") != (root / path).exists()
        assert (root / LINK).is_symlink() == (root / FILE).exists()
        work.clean_executions()
        assert is_unchanged(rig)
        assert not rig.journal.being_removed(rig.parts.server)
    assert lying(root) == set()


def test_what_lies_aside_and_only_a_damaged_journal_knew_is_put_back(lab, root, monkeypatch):
    after = {"mode": "after_days", "after_days": 0}
    with dying(monkeypatch, "aside", 1), lab.rigged(reclaim=after) as rig, pytest.raises(Crash):
        work_of(rig).clean_executions()
    assert lying(root) & {FILE, OTHER} != {FILE, OTHER}
    (lab.folder / "state/journal.db").write_bytes(b"this is no database")

    with lab.rigged(reclaim=after) as rig:
        work_of(rig).recover(rig.settings.watch[0].prefix)
    assert lying(root) == {FILE, LINK, OTHER}
