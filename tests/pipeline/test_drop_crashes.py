"""Killed before or after any one call, a second process completes the units of a drop folder.

Each file is in one batch, has one row, and is linked to the one Execution of that batch, which was
made once.

A sample of all calls is taken by default; `SOAK=1` takes every one.
"""

import os
from collections import Counter
from contextlib import suppress

import pytest

from engine.rig import WHO, Crash, Power, crash_name, every_crash
from pipeline.drops import WORKFLOW, DropLab, Instrument

# How often a run calls what, at most.
CALLS = {
    "catalog.model": 1,
    "catalog.version": 1,
    "catalog.terms": 4,
    "catalog.lease": 1,
    "catalog.rows_with": 9,
    "catalog.rows_where": 1,
    "catalog.insert": 4,
    "catalog.move_status": 4,
    "store.make_namespace": 3,
    "store.head": 3,
    "store.put": 3,
    "journal.open_batch": 1,
    "journal.commit": 20,
    "journal.submit": 12,
}
MATRIX = every_crash(CALLS)
# What is new here: the lease, the note of it, the row and its status, and the batch.
SAMPLE = [
    ("writer", "journal.open_batch", 0, True),
    ("owner", "catalog.lease", 0, True),
    ("writer", "journal.commit", 2, False),
    ("writer", "catalog.insert", 0, False),
    ("writer", "catalog.insert", 0, True),
    ("owner", "catalog.move_status", 3, True),
]
CASES = MATRIX if os.environ.get("SOAK") else SAMPLE


def scene(folder, ready):
    """Return a drop folder with three files."""
    lab = DropLab(folder, ready)
    lab.drop({"a.bin": f"a {lab.rid}", "b.bin": f"b {lab.rid}", "run/c.bin": f"c {lab.rid}"})
    return lab


def check(lab, who, units):
    """Check that all is there, once."""
    [execution] = lab.executions()
    assert {unit.state.value for unit in units} == {"uploaded"}
    assert [unit.execution_rid for unit in units] == [execution["RID"]]
    assert execution["Workflow"] == WORKFLOW
    # A writer may make the row, and may not change it.
    assert execution["Status"] == ("Uploaded" if who == "owner" else "Created")
    assert lab.linked() == {name: [execution["RID"]] for name in ("a.bin", "b.bin", "c.bin")}


@pytest.mark.parametrize("who", WHO)
def test_no_call_is_missing_from_the_matrix(tmp_path, ready, who):
    lab = scene(tmp_path, ready)
    with lab.rigged(who) as rig:
        instrument = Instrument(rig, lab.path)
        instrument.bring()
        check(lab, who, instrument.units())

    names = Counter(rig.power.names)
    assert {name: count for name, count in names.items() if count > CALLS.get(name, 0)} == {}


@pytest.mark.parametrize("case", CASES, ids=crash_name)
def test_a_crash_makes_no_second_execution_and_loses_no_file(tmp_path, ready, case):
    who, name, number, after = case
    lab = scene(tmp_path, ready)
    with lab.rigged(who, power=Power(name, number, after=after)) as dying, suppress(Crash):
        Instrument(dying, lab.path).bring()

    with lab.rigged(who) as rig:
        instrument = Instrument(rig, lab.path)
        instrument.bring()
        check(lab, who, instrument.units())


def test_processes_that_live_for_a_few_calls_get_there_as_well(tmp_path, ready):
    lab, lives = scene(tmp_path, ready), 0
    while True:
        power, lives = Power(lifetime=12 + lives, after=bool(lives % 2)), lives + 1
        with lab.rigged("writer", power=power) as rig, suppress(Crash):
            instrument = Instrument(rig, lab.path)
            if set(instrument.bring().values()) == {"uploaded"}:
                break

    assert lives > 2
    with lab.rigged("writer") as rig:
        check(lab, "writer", Instrument(rig, lab.path).units())
