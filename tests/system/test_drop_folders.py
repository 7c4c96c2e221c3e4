"""Three instruments that know nothing of deriva-ml drop real files before one daemon.

A scanner (DICOM) whose files of a while are one execution, a sequencer whose runs are one
execution each, and a microscope (OME-TIFF) whose stacks belong to none. What they do happens once,
and the daemon is killed meanwhile: when the first object is in and when the second execution was
made; with `SOAK=1` also again and again. The tests ask for what became of it.
"""

import io
import os

import pytest
import tifffile

from deriva_watch.demo import content
from running import sandbox
from system.difference import new_rows, stored
from system.instrument_lab import (
    BATCH,
    DAY,
    EXECUTION,
    IMAGE,
    INSTRUMENTS,
    MICROGRAPH,
    OPEN,
    RUN,
    RUN_FILE,
    RUN_FOLDER,
    SCANS,
    STACK,
    furnish,
    md5,
    work,
)

RECEIPT = "deriva-watch-receipt.json"


def executions_made(requests):
    """Count the executions that the server was given."""
    return sum(
        each["method"] == "POST" and "/entity/deriva-ml:Execution?" in each["path"]
        for each in requests
    )


KILLS = {
    "twice": [stored, lambda requests: executions_made(requests) == 2],
    **{
        f"every-{step}": [
            lambda requests, count=count: len(requests) > count for count in range(step, 400, step)
        ]
        for step in ((13, 17, 31) if os.environ.get("SOAK") else ())
    },
}


@pytest.fixture(scope="module", params=KILLS)
def lab(request, tmp_path_factory):
    """Let the instruments work for a while, with kills in the middle."""
    root = tmp_path_factory.mktemp("lab")
    with sandbox(root / "server", latency_ms=5) as ready:
        lab = furnish(root, ready)
        work(lab, KILLS[request.param])
    return lab


# ------------------------------------------------------------------ the scanner


def test_what_a_scanner_drops_within_a_while_is_one_execution(lab):
    """Made by the daemon; what comes after it belongs to the next one."""
    first, second = lab.made("From the scanner")

    assert lab.executions(IMAGE) == [
        ("IM-1 copy.dcm", [first]),
        ("IM-1.dcm", [first]),
        ("IM-2.dcm", [first]),
        ("IM-3.dcm", [first]),
        ("IM-3.dcm", [first]),
        ("IM-4.dcm", [second]),
        ("IM-5.dcm", [first]),
    ]
    rows = {row["RID"]: row for row in lab.new(EXECUTION)}
    assert {rows[rid]["Workflow"] for rid in (first, second)} == {"1-W001"}
    assert rows[second]["Status"] == "Uploaded"


def test_the_path_of_an_image_tells_its_row(lab):
    """Groups are values or are looked up, templates are filled in."""
    columns = ("Filename", "MD5", "Subject", "Description")
    found = sorted(tuple(row[name] for name in columns) for row in lab.new(IMAGE))

    names = ["IM-1 copy", "IM-1", "IM-2", "IM-3", "IM-3", "IM-4"]
    contents = [SCANS[number] for number in (0, 0, 1, 2, 6, 3)]
    about = "1-S001", "CT of subject-1"
    expected = [(f"{n}.dcm", md5(c), *about) for n, c in zip(names, contents, strict=True)]
    assert found == sorted([*expected, ("IM-5.dcm", md5(SCANS[4]), "1-S009", "CT of subject-9")])
    days = {(row["Acquisition_Date"], row["Observation"]) for row in lab.new(IMAGE)}
    assert days == {("2001-01-01", lab.observation)}


def test_content_that_comes_again_is_one_row_by_its_name(lab):
    """Under the same name it is the same row, linked once; under another name another one."""
    files = lab.unit(lab.batches[0])["files"]

    twice = [files[f"{DAY}/IM-2.dcm"]["rid"], files[f"{DAY}/again/IM-2.dcm"]["rid"]]
    copies = {files[f"{DAY}/IM-1.dcm"]["rid"], files[f"{DAY}/IM-1 copy.dcm"]["rid"]}
    assert twice == [twice[0], twice[0]]
    assert len(copies) == 2


def test_a_look_up_that_finds_none_or_several_refuses_the_file_by_the_value(lab):
    """Its neighbours are in."""
    told = lab.unit(lab.batches[0])

    refused = {path: f for path, f in told["files"].items() if f["state"] == "refused"}
    assert list(refused) == ["subject-2/2026-03-02/IM-6.dcm"]
    (file,) = refused.values()
    assert "2026-03-02" in file["why"]
    assert "Observation" in file["why"]
    assert told["state"] == "refused"


def test_a_look_up_that_found_nothing_is_asked_again_when_its_batch_opens(lab):
    """The row has come: the file goes in, with the execution of its batch."""
    file = lab.unit(lab.batches[0])["files"]["subject-9/2001-01-01/IM-5.dcm"]
    refused = [event for event in lab.events() if event["event"] == "file.refused"]

    assert file["state"] == "linked"
    (said,) = {event["why"] for event in refused if event["path"].startswith("subject-9")}
    assert "subject-9" in said
    assert "Subject" in said


def test_a_name_that_fits_no_pattern_is_told_with_how_far_it_fits(lab):
    file = lab.unit(lab.batches[0])["files"][f"{DAY}/IM-7.dcm.txt"]

    assert file["state"] == "unmatched"
    assert f"of the drop folder: after '{DAY}/IM-7.dcm', " in file["why"]


def test_a_file_that_is_still_being_written_goes_with_the_next_batch(lab):
    """It holds nothing else up."""
    first, second = (lab.unit(name)["files"] for name in lab.batches)

    assert OPEN not in first
    assert {path: file["state"] for path, file in second.items()} == {OPEN: "linked"}


def test_a_file_that_changes_later_stays_with_its_batch(lab):
    """Its batch opens again: both contents are linked to the execution of that batch."""
    file = lab.unit(lab.batches[0])["files"][f"{DAY}/IM-3.dcm"]

    assert (file["state"], file["md5"]) == ("linked", md5(SCANS[6]))
    assert len(lab.batches) == len(lab.made("From the scanner")) == 2


# ------------------------------------------------------------------ the sequencer


def test_a_marker_ends_a_run_only_once_nobody_writes_its_log(lab):
    """`CopyComplete.txt` had long been there, and a batch of others was in."""
    assert lab.waiting["state"] == "filling"
    assert "run.log" in str(lab.waiting["verdict"])


def test_a_run_is_one_execution_and_its_path_tells_lane_and_cycle(lab):
    """What comes later belongs to the same one; the marker is no data."""
    (run,) = lab.made("Run of the sequencer")
    names = [path.rpartition("/")[2] for path in RUN_FOLDER] + ["run.log", "late.log"]

    assert lab.executions(RUN_FILE) == [(name, [run]) for name in sorted(names)]
    assert {(row["Run"], row["Instrument"]) for row in lab.new(RUN_FILE)} == {(RUN, "M00001")}
    calls = {row["MD5"]: (row["Lane"], row["Cycle"]) for row in lab.new(RUN_FILE) if row["Cycle"]}
    assert calls == {
        md5(RUN_FOLDER[content.basecalls(cycle)]): (1, cycle)
        for cycle in range(1, content.CYCLES + 1)
    }
    assert lab.unit(RUN)["state"] == "uploaded"


# ------------------------------------------------------------------ the microscope


def test_a_stack_goes_in_whole_and_belongs_to_no_execution(lab):
    """Its planes came with pauses longer than the quiet period, in a file held open."""
    (row,) = lab.new(MICROGRAPH)

    with tifffile.TiffFile(io.BytesIO(lab.contents[row["URL"]])) as stack:
        assert stack.is_ome
        assert stack.series[0].shape == (4, 64, 64)
    told = row["Plate"], row["Well"], row["Site"], row["Objective"]
    assert told == ("plate-7", "B02", 3, "20x")
    assert lab.new(f"{MICROGRAPH}_Execution") == []
    assert [link["Asset_Type"] for link in lab.new(f"{MICROGRAPH}_Asset_Type")] == ["Image"]


# ------------------------------------------------------------------ all of them


def test_nothing_is_doubled_or_lost_by_a_kill_in_the_middle(lab):
    """One version of each object, with the bytes of its file; three executions; no other rows."""
    tables = (IMAGE, RUN_FILE, MICROGRAPH)
    rows = [row for table in tables for row in lab.new(table)]

    assert sorted(lab.versions.values()) == sorted([row["URL"]] for row in rows)
    assert {md5(lab.contents[row["URL"]]) == row["MD5"] for row in rows} == {True}
    assert len(lab.new(EXECUTION)) == 3
    links = {f"{table}_{other}" for table in tables for other in ("Execution", "Asset_Type")}
    ours = {*tables, *links, EXECUTION, "demo:Subject"}  # the subject came by hand
    assert new_rows(lab.before, lab.after).keys() - {"public:ERMrest_RID_Lease"} <= ours


def test_no_instrument_finds_anything_new_in_its_folder(lab):
    """Nothing is copied, renamed or written there but the receipt in a folder of a run."""
    ours = {
        path.relative_to(lab.root).as_posix()
        for name in INSTRUMENTS
        for path in (lab.root / name).rglob("*")
        if path.is_file()
    }
    theirs = {f"scanner/{path}" for path in (*BATCH, OPEN)} | {f"microscope/{STACK}"}
    run = [*RUN_FOLDER, "CopyComplete.txt", "Logs/run.log", "Logs/late.log", RECEIPT]

    assert ours == theirs | {f"sequencer/{RUN}/{path}" for path in run}
