"""A person holds an execution, or a file of it, back at any call of an upload that is under way.

What was under way is put down, nothing that is recorded is undone, and once it may go on it arrives
as if nothing had been.

A sample of all calls is taken by default; `SOAK=1` takes every one.
"""

import os
from datetime import UTC, datetime

import pytest

from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.engine.rows import tables
from engine.rig import Power
from engine.test_crashes import CALLS, Scene

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CANCELLED, PAUSED = (Hold(kind, "alice", NOW) for kind in HoldKind)
BIG = "execution-asset/Model_File/big.bin"

MATRIX = [(name, number) for name, count in CALLS.items() for number in range(count)]
SAMPLE = [
    ("catalog.model", 0),
    ("catalog.insert", 0),
    ("store.put", 4),
    ("store.put_chunk", 1),
]
LATE = ("catalog.move_status", 0)  # everything is in the catalog
SOAK = os.environ.get("SOAK")
HELD = [(CANCELLED, "catalog.model", 0), (CANCELLED, "store.put_chunk", 1), (CANCELLED, *LATE)]
HELD += [(PAUSED, "catalog.insert", 0), (PAUSED, "store.put", 4)]
HELD = [(hold, *case) for hold in (CANCELLED, PAUSED) for case in MATRIX] if SOAK else HELD


class Meddled(Power):
    """A power supply at one of whose calls somebody else does something first."""

    def meddle(self, name, number, act):
        """Let *act* happen before a call."""
        self.at, self.act = (name, number), act

    def through(self, name, function, *arguments, **options):
        """Make a call."""
        if (name, self.names.count(name)) == self.at:
            self.at = None
            self.act()
        return super().through(name, function, *arguments, **options)


@pytest.fixture(scope="module")
def whole(ready, tmp_path_factory):
    """What arrives where nobody holds anything back."""
    scene = Scene(tmp_path_factory.mktemp("whole"), ready, "owner")
    assert scene_uploaded(scene)
    return scene.arrived()


def scene_uploaded(scene):
    with scene.rigged() as rig:
        return rig.bring().state is ExecutionState.UPLOADED


def held_at(scene, case, act):
    """Upload a scene, and *act* on the rig and the execution's number at a call of *case*.

    Returns where it then stands.
    """
    power = Meddled()
    with scene.rigged(power=power) as rig:
        record = rig.begin()

        def order():
            act(rig, record.id)
            rig.parts.holds.reload()

        power.meddle(*case, order)
        after = rig.parts.attempts.process(record).record
        rig.parts.attempts.sweep()
        return after


@pytest.mark.parametrize("held", HELD, ids=lambda held: f"{held[0].kind}-{held[1]}-{held[2]}")
def test_an_execution_is_put_down_at_any_call_and_arrives_whole_once_it_may(
    ready, tmp_path, whole, held
):
    scene, (hold, *call) = Scene(tmp_path, ready, "owner"), held
    case = tuple(call)

    record = held_at(scene, case, lambda rig, number: rig.journal.hold(number, hold))

    assert case not in SAMPLE or record.state is not ExecutionState.UPLOADED
    assert case != LATE or record.state is ExecutionState.UPLOADED
    if record.state is ExecutionState.REFUSED:
        assert record.what == "cancelled by alice"
        assert not [file for file in scene.files().values() if file.job], "jobs are cancelled"
        assert FileState.RECORDED not in scene.states().values(), "what has a row has its links"
    elif record.state is ExecutionState.WAITING:
        assert (record.what, record.next_at) == ("paused by alice", None)
    with scene.rigged() as rig:
        rig.journal.release(record.id, hold.kind)
    assert scene_uploaded(scene)
    assert scene.arrived() == whole


@pytest.mark.parametrize("case", MATRIX if SOAK else SAMPLE[2:], ids=str)
def test_a_file_is_put_down_at_any_call_and_its_neighbours_go_up(ready, tmp_path, whole, case):
    scene = Scene(tmp_path, ready, "owner")

    def cancel(rig, number):
        rig.journal.hold_file(number, BIG, CANCELLED)  # too early where nobody has seen it

    record = held_at(scene, case, cancel)

    states = scene.states()
    if states.pop(BIG) == "refused":
        assert record.state is ExecutionState.REFUSED
        assert "cancelled by alice" in scene.files()[BIG].what
        assert scene.files()[BIG].job is None
    else:
        assert case not in SAMPLE[2:]
    assert set(states.values()) == {"linked"}
    with scene.rigged() as rig:
        rig.journal.release_file(record.id, BIG)
    assert scene_uploaded(scene)
    assert scene.arrived() == whole


def test_a_job_that_is_cancelled_is_none_on_the_server_either(ready, tmp_path):
    scene, jobs = Scene(tmp_path, ready, "owner"), {}

    def cancel(rig, number):
        names = [call.arguments[0].name for call in rig.power.calls("store.open_job")]
        jobs.update({name: rig.store.jobs(name) for name in names})
        rig.journal.hold(number, CANCELLED)

    held_at(scene, ("store.put_chunk", 1), cancel)

    assert any(jobs.values())
    with scene.rigged() as rig:
        assert not any(map(rig.store.jobs, jobs))


@pytest.mark.parametrize("what", ["file", "execution"])
def test_a_file_of_rows_is_put_down_between_two_batches_and_no_row_is_doubled(
    lab, monkeypatch, what
):
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)
    subject = lab.api.insert("demo:Subject", {"Name": f"of {lab.rid}"})[0]["RID"]
    days = [f"2026-02-{day:02}" for day in range(1, 10)]
    path = "table/demo/Observation/Observation.csv"
    rows = "".join(f"{subject},{day}\n" for day in days)
    lab.write({path: f"Subject,Observation_Date\n{rows}"})

    def there():
        found = lab.api.rows("demo:Observation")
        return sorted(row["Observation_Date"] for row in found if row["Subject"] == subject)

    def hold(rig, number):
        if what == "file":
            assert rig.journal.hold_file(number, path, CANCELLED)
        else:
            rig.journal.hold(number, PAUSED)

    record = held_at(lab, ("catalog.insert", 2), hold)

    assert record.state in {ExecutionState.REFUSED, ExecutionState.WAITING}
    assert 0 < len(there()) < len(days)
    with lab.rigged() as rig:
        rig.journal.release_file(record.id, path)
        rig.journal.release(record.id, HoldKind.PAUSED)
        assert rig.bring().state is ExecutionState.UPLOADED
    assert there() == days
