"""Executions that gain or change files once they are uploaded: the difference comes in."""

import hashlib
import json

import pytest

from engine.rig import image
from engine.rows.templates import Letters, lettered

RECEIPT = "deriva-watch-receipt.json"
SUBJECTS = "table/demo/Subject/Subject.csv"


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with lettered(tmp_path_factory.mktemp("late")) as ready:
        yield ready


@pytest.fixture
def lab(tmp_path, ready):
    """An execution whose table Scan is filled to the letter."""
    return Letters(tmp_path, ready)


def receipt(lab):
    """Return the lines of the receipt by file."""
    told = json.loads((lab.write({}) / RECEIPT).read_text())
    return {line["file"]: line for line in told["files"]}


def status(lab):
    rows = lab.api.rows("deriva-ml:Execution")
    return next(row["Status"] for row in rows if row["RID"] == lab.rid)


def again(lab, late, **options):
    """Upload *late* into what is uploaded; return the calls of ports that it took."""
    first = receipt(lab)
    assert status(lab) == "Uploaded"
    lab.write(late)
    with lab.rigged(**options) as rig:
        record = rig.bring()
    assert record.state == "uploaded", record.why
    assert status(lab) == "Uploaded"
    assert "catalog.move_status" not in rig.power.names
    kept = {path: line for path, line in receipt(lab).items() if path in first.keys() - late.keys()}
    assert kept == {path: line for path, line in first.items() if path not in late}
    assert receipt(lab).keys() == first.keys() | late.keys()
    return rig.power


def test_a_late_asset_is_all_that_is_sent(lab):
    lab.upload({image("a.bin"): f"a {lab.rid}"})

    power = again(lab, {image("b.bin"): f"b {lab.rid}"})

    assert len(power.calls("store.put")) == 1
    assert lab.states() == dict.fromkeys([image("a.bin"), image("b.bin")], "linked")


def test_a_late_file_whose_mapping_is_followed_to_the_letter_is_all_that_is_sent(lab):
    lab.bring()
    late = f"scans/1-S001/late{lab.rid}.tif"

    power = again(lab, {late: f"late {lab.rid}"}, spec=lab.spec())

    assert len(power.calls("store.put")) == 1
    assert len(power.calls("catalog.insert")) == 1
    assert sorted(row["Name"] for row in lab.rows()) == sorted([lab.name, f"late{lab.rid}"])


def test_a_late_file_of_rows_is_all_that_is_recorded(lab):
    lab.upload({image("a.bin"): f"a {lab.rid}"})

    power = again(lab, {SUBJECTS: f"Name\none {lab.rid}\nother {lab.rid}\n"})

    assert not power.calls("store.put")
    assert [len(call.arguments[1]) for call in power.calls("catalog.insert")] == [2]
    assert receipt(lab)[SUBJECTS]["rows"] == 2


@pytest.mark.parametrize("size_bytes", [50, 4500])
def test_a_file_that_changes_after_its_upload_is_all_that_is_sent(lab, size_bytes):
    """Its receipt says what it is now; what it was stays in the catalog."""
    one, other = image("a.bin"), image("b.bin")
    lab.upload({one: f"a {lab.rid}", other: f"b {lab.rid}"})
    before, now = receipt(lab)[one], f"{f'now {lab.rid}':*<{size_bytes}}"

    again(lab, {one: now})

    after = receipt(lab)[one]
    assert after["md5"] == hashlib.md5(now.encode()).hexdigest()
    assert lab.api.content(after["object"]) == now.encode()
    assert lab.api.content(before["object"]) == f"a {lab.rid}".encode()
    rids = {row["RID"] for row in lab.api.rows("demo:Image")}
    assert {before["rid"], after["rid"]} <= rids
    assert before["rid"] != after["rid"]
