"""What the journal has to learn when a plan meets what it knows."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import ASSET, entry, patient, planned
from deriva_watch.core.completeness.observation import Entry, Kind
from deriva_watch.core.metadata.sources import Sources, read_manifest
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.plan.plan import Plan
from deriva_watch.core.plan.reconcile import additions, moves, unremoved
from deriva_watch.core.records import FileRecord
from deriva_watch.core.states import FileState, file_after

GOOD = entry("assets/BoundingBox/a.json")  # becomes an asset
STRAY = entry("notes.txt")  # no mapping matches it
PIPE = replace(GOOD, kind=Kind.UNUSABLE, problem="it is a named pipe")
IGNORED = replace(GOOD, kind=Kind.IGNORED)
STATEMENT = planned(GOOD).assets[0].statement()


def record(state: FileState, seen: Entry = GOOD, **facts: Any) -> FileRecord:
    """Return what the journal knows of a file that was seen as *seen*."""
    known: dict[str, Any] = {
        "size_bytes": seen.size_bytes,
        "mtime_ns": seen.mtime_ns,
        "device": seen.device,
        "inode": seen.inode,
        "statement": STATEMENT,
    }
    return FileRecord(1, 1, seen.path, state, datetime(2026, 1, 2, tzinfo=UTC), **known | facts)


def learned(plan: Plan, *records: FileRecord) -> dict[str, FileRecord]:
    """Return what the journal knows after it has learned *plan*, by path."""
    known = {one.path: one for one in records}
    for number, added in enumerate(additions(7, plan, known), 1 + len(known)):
        new = record(FileState.FOUND)
        known[added.path] = replace(new, id=number, path=added.path, **added.facts)
    by_id = {one.id: one for one in known.values()}
    for move in moves(plan, known, "1-AAAA"):
        old = by_id[move.file_id]
        by_id[old.id] = replace(old, state=file_after(old.state, move.trigger), **move.facts)
    return {one.path: one for one in by_id.values()}


def test_a_new_file_enters_with_its_stamp_and_its_table():
    (added,) = additions(7, planned(GOOD), {})

    assert (added.execution_id, added.path) == (7, GOOD.path)
    assert added.facts == {
        "size_bytes": GOOD.size_bytes,
        "mtime_ns": GOOD.mtime_ns,
        "device": GOOD.device,
        "inode": GOOD.inode,
        "table": "demo:BoundingBox",
    }


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (GOOD, FileState.FOUND),
        (STRAY, FileState.UNMATCHED),
        (PIPE, FileState.REFUSED),
        (IGNORED, FileState.IGNORED),
    ],
)
def test_a_new_file_goes_where_the_plan_wants_it(seen: Entry, state: FileState):
    known = learned(planned(seen))

    assert known[seen.path].state is state


def test_a_registered_file_that_is_not_there_is_known_as_refused():
    said = Sources(read_manifest('{"assets": {"BoundingBox/a.json": {}}}'))

    known = learned(planned(said=said))[GOOD.path]

    assert known.state is FileState.REFUSED
    assert learned(planned(GOOD, said=said), known)[GOOD.path].state is FileState.FOUND


def test_a_left_over_file_knows_why():
    left = planned(STRAY).leftovers[0]

    known = learned(planned(STRAY))[STRAY.path]

    assert (known.what, known.why, known.next) == (left.what, left.why, left.next)


@pytest.mark.parametrize(
    "state",
    [
        *(FileState.FOUND, FileState.HASHED, FileState.STORED, FileState.RECORDED),
        *(FileState.LINKED, FileState.ELSEWHERE),
    ],
)
def test_a_file_that_is_what_it_was_keeps_its_place(state: FileState):
    assert moves(planned(GOOD), {GOOD.path: record(state)}, "1-AAAA") == []


@pytest.mark.parametrize("state", [s for s in FileState if s is not FileState.FOUND])
@pytest.mark.parametrize("facts", [{"size_bytes": 8}, {"inode": 1}, {"statement": "other"}])
def test_a_file_that_changed_starts_over(state: FileState, facts: dict[str, Any]):
    known = learned(planned(GOOD), record(state, **facts))[GOOD.path]

    assert known.state is FileState.FOUND
    assert known.stamp == GOOD.stamp


@pytest.mark.parametrize(
    "state", [FileState.IGNORED, FileState.UNMATCHED, FileState.REFUSED, FileState.GONE]
)
def test_a_file_that_was_left_over_and_is_wanted_now_starts_over(state: FileState):
    assert learned(planned(GOOD), record(state))[GOOD.path].state is FileState.FOUND


@pytest.mark.parametrize("state", FileState)
def test_a_file_that_is_left_over_now_goes_there_from_anywhere(state: FileState):
    known = learned(planned(PIPE), record(state))[GOOD.path]

    assert (known.state, known.why) == (FileState.REFUSED, "it is a named pipe")


def test_what_to_do_next_names_the_execution():
    (left,) = planned(PIPE).leftovers
    plan = replace(planned(PIPE), leftovers=(replace(left, next="`deriva-watch retry RID`."),))

    *_, move = moves(plan, {GOOD.path: record(FileState.FOUND)}, "1-AAAA")

    assert move.facts["next"] == "`deriva-watch retry 1-AAAA`."


def test_a_refusal_is_said_once_for_each_reason():
    refused = record(FileState.REFUSED, why="it is a named pipe")
    other = record(FileState.REFUSED, why="it is a socket")

    assert moves(planned(PIPE), {GOOD.path: refused}, "1-AAAA") == []
    assert learned(planned(PIPE), other)[GOOD.path].why == "it is a named pipe"


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (FileState.FOUND, FileState.GONE),
        (FileState.HASHED, FileState.GONE),
        (FileState.STORED, FileState.GONE),
        (FileState.REFUSED, FileState.GONE),
        (FileState.UNMATCHED, FileState.GONE),
        (FileState.IGNORED, FileState.GONE),
        (FileState.GONE, FileState.GONE),
        (FileState.RECORDED, FileState.RECORDED),
        (FileState.LINKED, FileState.LINKED),
        (FileState.ELSEWHERE, FileState.ELSEWHERE),
    ],
)
def test_a_file_that_is_no_more_is_gone_unless_the_catalog_has_it(
    state: FileState, after: FileState
):
    assert learned(planned(), record(state))[GOOD.path].state is after


_SEEN = st.lists(
    st.builds(
        lambda seen, size_bytes: replace(seen, size_bytes=size_bytes),
        st.sampled_from([GOOD, PIPE, IGNORED, STRAY, entry("execution-asset/Image/m.pt")]),
        st.integers(1, 2),
    ),
    unique_by=lambda seen: seen.path,
)
_REACHED = [
    *(FileState.FOUND, FileState.HASHED, FileState.STORED, FileState.RECORDED, FileState.LINKED),
    *(FileState.ELSEWHERE, FileState.REFUSED, FileState.GONE),
]


@patient
@given(looks=st.lists(_SEEN, min_size=1, max_size=5), data=st.data())
def test_whatever_was_known_the_journal_follows_and_then_has_nothing_to_learn(
    looks: list[list[Entry]], data: st.DataObject
):
    """No move is impossible, however far the upload came between two looks."""
    known: dict[str, FileRecord] = {}
    for seen in looks:
        plan = planned(*seen)
        known = learned(plan, *known.values())

        assert additions(7, plan, known) == []
        assert moves(plan, known, "1-AAAA") == []
        for asset in plan.assets:
            known[asset.path] = replace(
                known[asset.path],
                state=data.draw(st.sampled_from(_REACHED)),
                statement=asset.statement(),
                size_bytes=asset.entry.size_bytes,
            )


@pytest.mark.parametrize(
    "state", [state for state in FileState if state not in {FileState.RECORDED, FileState.LINKED}]
)
def test_a_file_that_a_person_has_cancelled_is_refused_whatever_became_of_it(state: FileState):
    """It changed, vanished and came back, or another spec takes it."""
    hold = Hold(HoldKind.CANCELLED, "alice", datetime(2026, 1, 2, tzinfo=UTC))
    known = record(state, replace(GOOD, mtime_ns=7), held=hold.document())

    (after,) = learned(planned(GOOD), known).values()

    assert after.state is FileState.REFUSED
    if state is not FileState.REFUSED:
        assert after.next == f"`deriva-watch retry 1-AAAA {GOOD.path}` undoes this."


def test_types_of_a_file_that_was_removed_here_are_no_stray():
    said = Sources(types={ASSET: {"gone.pt": ("Image",), "reel.pt": ("Image",)}})
    path = "asset/deriva-ml/Execution_Asset/gone.pt"
    removed = replace(record(FileState.REMOVED, removal={}), path=path)
    plan = planned(said=said)

    (notice,) = unremoved(plan, {path: removed}).notices.values()
    removed_both = replace(removed, path=path.replace("gone", "reel"))
    none = unremoved(plan, {path: removed, removed_both.path: removed_both}).notices

    assert "'gone.pt'" in plan.notices["asset-type/deriva-ml/Execution_Asset.jsonl"]
    assert "'gone.pt'" not in notice
    assert "'reel.pt'" in notice
    assert none == {}
