"""Uploaded units are cleared when their time has come, and whatever holds that up is told once."""

import threading
from dataclasses import dataclass, field, replace

import pytest

from deriva_watch.cleanup import scheduler, unit_cleaner
from deriva_watch.cleanup.policy import Policy
from deriva_watch.cleanup.retention import Retention
from deriva_watch.cleanup.scheduler import Scheduler
from deriva_watch.cleanup.unit_cleaner import UnitCleaner
from deriva_watch.core.changes import MoveExecution, NoteFile
from deriva_watch.core.completeness.observation import ASIDE_NAME
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import ServerAwayError
from deriva_watch.core.states import ExecutionState, ExecutionTrigger
from deriva_watch.edges.host.spool import Orders
from engine.rig import first, image, instead, write_files

DAY_S = 86400.0


@dataclass
class Host:
    """A host whose uptime a test tells."""

    boot: str = "first"
    boot_s: float = 1000.0


@pytest.fixture
def host(monkeypatch):
    host = Host()
    monkeypatch.setattr(scheduler, "boot", lambda: (host.boot, host.boot_s))
    return host


@dataclass
class Scene:
    """An execution that is uploaded, taken for the unit of a drop folder."""

    lab: object
    paths: list
    root: object
    again: list = field(default_factory=list)

    def removal(self, rig, after="delete"):
        """Return what removes its files; the clock of the unit has begun."""
        prefix = rig.settings.watch[0].prefix
        drop = Drop(
            path=prefix,
            table="Image",
            pattern=".*",
            columns={},
            lookup={},
            asset_types=(),
            unit="directory",
            batch_s=1.0,
            workflow=None,
            description=None,
            markers=(".complete",),
            quiet_s=1.0,
            after=after,
            after_delay_s=DAY_S,
        )
        base = f"deriva-ml/execution/{self.lab.rid}/"
        cleaner = UnitCleaner.of(rig.parts, threading.Event(), self.again.append)
        made = Scheduler(
            cleaner,
            Retention(cleaner, rig.parts.server_time),
            Orders(rig.settings.state_directory / "orders"),
            rig.settings,
            {prefix: drop},
            policy_of=lambda _unit, drop: Policy(
                prefix, base, drop.after == "move", whole=True, markers=frozenset(drop.markers)
            ),
        )
        made.clean_drops()
        return made

    def left(self):
        """Return the paths of those files that are still there."""
        return [path for path in self.paths if (self.root / path).exists()]


@pytest.fixture
def scene(lab):
    paths = [image("a.png"), image("b.png")]
    root = lab.write({path: f"{lab.rid} {path}".encode() for path in paths})
    with lab.rigged() as rig:
        assert rig.upload().state is ExecutionState.UPLOADED
    return Scene(lab, paths, root)


def record(rig):
    return rig.journal.executions(rid=rig.rid)[0]


def test_nothing_goes_before_its_time_which_no_clock_but_uptime_tells(scene, host):
    with scene.lab.rigged() as rig:
        scene.removal(rig)
        host.boot_s += DAY_S - 100
        scene.removal(rig).clean_drops()
    host.boot, host.boot_s = "second", 50.0  # the host was off for years, or its clock was wrong
    with scene.lab.rigged() as rig:
        work = scene.removal(rig)
        work.clean_drops()
        assert scene.left() == scene.paths

        host.boot_s += 60
        work.clean_drops()
        assert scene.left() == []
        assert record(rig).state is ExecutionState.UPLOADED
        assert record(rig).removal["done"]


def test_a_unit_that_is_uploaded_again_waits_again(scene, host):
    with scene.lab.rigged() as rig:
        work = scene.removal(rig)
        host.boot_s += DAY_S - 1
        write_files(scene.root, {scene.paths[0]: b"late"})
        rig.upload()
        host.boot_s += 2
        work.clean_drops()

        assert scene.left() == scene.paths


def test_a_unit_in_a_root_that_does_not_answer_is_left_alone_until_it_does(scene, host):
    with scene.lab.rigged() as rig:
        work, hanging = scene.removal(rig), {rig.settings.watch[0].prefix}
        work.cleaner.hangs_at = hanging.__contains__
        host.boot_s += DAY_S
        work.clean_drops()
        assert not work.cleaner.clean(record(rig), None)
        assert scene.left() == scene.paths

        hanging.clear()
        work.clean_drops()
        assert scene.left() == []


def test_keep_keeps(scene, host):
    with scene.lab.rigged() as rig:
        work = scene.removal(rig, "keep")
        host.boot_s += 2 * DAY_S
        work.clean_drops()

        assert scene.left() == scene.paths


def test_a_file_that_is_not_in_the_catalog_holds_its_unit_back_and_is_told_once(scene, host):
    write_files(scene.root, {"stray.txt": b"?", ".complete": b""})
    with scene.lab.rigged() as rig:
        rig.upload()
        work = scene.removal(rig)
        host.boot_s += DAY_S + 1
        for _ in range(2):
            work.cleaner._again_s.clear()
            work.clean_drops()

        (event,) = rig.told("removal.blocked")
        assert "stray.txt" in event.why
        assert record(rig).removal["why"] == event.why
        assert scene.left() == scene.paths

        (scene.root / "stray.txt").unlink()
        rig.upload()
        work.clean_drops()
        host.boot_s += DAY_S + 1
        work.clean_drops()
        assert scene.left() == []


def test_what_changed_is_looked_at_and_not_removed(scene, host):
    with scene.lab.rigged() as rig:
        work = scene.removal(rig)
        write_files(scene.root, {image("new.png"): b"new"})
        host.boot_s += DAY_S + 1
        work.clean_drops()

        assert scene.again == [rig.unit]
        assert scene.left() == scene.paths


def test_a_unit_that_is_looked_at_is_not_cleared(scene, host):
    with scene.lab.rigged() as rig:
        work = scene.removal(rig)
        host.boot_s += DAY_S + 1
        with work.cleaner.locks.take(rig.unit) as is_free:
            assert is_free
            work.clean_drops()
        assert scene.left() == scene.paths

        work.clean_drops()
        assert scene.left() == []


def test_a_server_that_is_away_closes_the_gate_and_uploads_go_first(scene, host):
    with scene.lab.rigged() as rig:
        work = scene.removal(rig)
        host.boot_s += DAY_S + 1
        away = ServerAwayError("cannot ask", "no answer")
        rig.store._port.then["head"].append(instead(away))
        work.clean_drops()
        assert work.cleaner.breaker.error is away
        work.cleaner._again_s.clear()
        work.clean_drops()
        assert scene.left() == scene.paths

        work.cleaner.breaker.error = None
        work.cleaner._worked_s = scheduler.time.monotonic()
        other = rig.journal.open_execution(rig.parts.server, "/elsewhere", "1-X")
        rig.journal.commit([MoveExecution(other.id, ExecutionTrigger.COMPLETED)])
        work.clean_drops()
        assert scene.left() == scene.paths
        work.cleaner._worked_s -= unit_cleaner.YIELD_S + 1
        work.clean_drops()
        assert scene.left() == []


@pytest.mark.usefixtures("host")
def test_what_lies_aside_and_no_journal_knows_is_put_back_and_told(scene):
    aside = (scene.root / scene.paths[0]).parent / ASIDE_NAME
    aside.mkdir(mode=0o700)
    (scene.root / scene.paths[0]).rename(aside / "a.png")
    with scene.lab.rigged() as rig:
        scene.removal(rig)

        (event,) = rig.told("file.restored")
        assert event.now == event.path
    assert scene.left() == scene.paths


@pytest.mark.usefixtures("host")
def test_a_removal_that_was_begun_is_ended_before_the_first_look(scene):
    with scene.lab.rigged() as rig:
        marks = [NoteFile(f.id, {"removal": {"to": None}}) for f in scene.lab.files().values()]
        rig.journal.commit(marks)
    (scene.root / scene.paths[0]).unlink()
    with scene.lab.rigged() as rig:
        scene.removal(rig).recover(rig.settings.watch[0].prefix)

        assert scene.lab.states() == dict(zip(scene.paths, ("removed", "linked"), strict=True))
        look = rig.parts.unit_reader.look(rig.unit)
        assert look.digest() == record(rig).digest


def test_what_is_cleared_is_not_asked_for_again_until_it_is_uploaded_again(scene, host):
    with scene.lab.rigged() as rig:
        work = scene.removal(rig)
        host.boot_s += DAY_S + 1
        work.clean_drops()
        prefix = str(rig.settings.watch[0].prefix)
        assert rig.journal.unremoved_units(rig.parts.server, prefix) == []

        write_files(scene.root, {scene.paths[0]: b"late"})
        rig.upload()
        assert [u.rid for u in rig.journal.unremoved_units(rig.parts.server, prefix)] == [rig.rid]


def test_a_stop_puts_back_what_is_aside_and_is_no_crash(scene, host):
    with scene.lab.rigged() as rig:
        work = scene.removal(rig)
        host.boot_s += DAY_S + 1
        rig.store._port.then["head"].append(first(lambda *_: rig.stop.set()))
        work.drops = {path: replace(drop, after_delay_s=0.0) for path, drop in work.drops.items()}
        work.start(lambda once: once())
        work.end(20)

        assert not work._thread.is_alive()
        assert not rig.told("daemon.crashed")
    assert scene.left() == scene.paths
