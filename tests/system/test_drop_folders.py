"""Three instruments that know nothing of deriva-ml drop real files before one daemon.

A scanner (DICOM) whose files of a while are one execution, a sequencer whose runs are one
execution each, and a microscope (OME-TIFF) whose stacks belong to none. What they do, and a kill
in the middle of it, happens once, in `dropped`; the tests ask for what became of it.
"""

import hashlib
import io
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pydicom.data
import pytest
import tifffile

from deriva_watch.demo import instruments
from running import (
    Api,
    daemon,
    detailed,
    requests_seen,
    sandbox,
    wait_until,
    write_config,
    write_files,
)
from system.difference import new_rows, stored

DROPS = r"""
[[drop]]
path = "{scanner}"
table = "Image"
pattern = '(?P<subject>[^/]+)/(?P<Acquisition_Date>\d{{4}}-\d\d-\d\d)/(again/)?[^/]+\.dcm'
lookup.Subject = {{ table = "Subject", column = "Name", value = "{{subject}}" }}
lookup.Observation.table = "Observation"
lookup.Observation.column = "Observation_Date"
lookup.Observation.value = "{{Acquisition_Date}}"
columns.Description = "CT of {{subject}}"
asset_types = ["Image"]
unit = "batch"
batch_s = 1
quiet_s = 0.5
workflow = "1-W001"
description = "From the scanner"

[[drop]]
path = "{sequencer}"
table = "Sequencer_File"
pattern = '(?P<Run>\d+_(?P<Instrument>[^_]+)_[^/]+)/(.*/L00(?P<Lane>\d)/C(?P<Cycle>\d+)\.1/)?.+'
asset_types = ["Output_File"]
unit = "directory"
markers = ["CopyComplete.txt"]
quiet_s = 60
workflow = {{ name = "Image acquisition", version = "1.0" }}
description = "Run of the sequencer"

[[drop]]
path = "{microscope}"
table = "Micrograph"
pattern = '(?P<Plate>plate-\d+)/(?P<Well>[A-H]\d\d)_(?P<Site>\d+)\.ome\.tif'
columns.Objective = "20x"
asset_types = ["Image"]
unit = "none"
quiet_s = 0.5
"""
IMAGE, RUN_FILE, MICROGRAPH = "demo:Image", "demo:Sequencer_File", "demo:Micrograph"
EXECUTION, LEASES = "deriva-ml:Execution", "public:ERMrest_RID_Lease"
RECEIPT = "deriva-watch-receipt.json"
SERIES = Path(pydicom.data.__file__).parent / "test_files/dicomdirtests/98892003/MR700"
SCANS = [path.read_bytes() for path in sorted(SERIES.iterdir())]
DAY = "subject-1/2001-01-01"  # for which there is one observation
BATCH = {  # what the scanner has written when it pauses for the first time
    f"{DAY}/IM-1.dcm": SCANS[0],
    f"{DAY}/IM-1 copy.dcm": SCANS[0],
    f"{DAY}/IM-2.dcm": SCANS[1],
    f"{DAY}/again/IM-2.dcm": SCANS[1],
    f"{DAY}/IM-3.dcm": SCANS[2],
    "subject-9/2001-01-01/IM-5.dcm": SCANS[4],  # nobody knows this subject
    "subject-2/2026-03-02/IM-6.dcm": SCANS[5],  # there are two observations of that day
    f"{DAY}/IM-7.dcm.txt": b"The patient coughed.",  # fits no pattern
}
OPEN = f"{DAY}/IM-4.dcm"  # is still being written then
RUN = instruments.RUN
RUN_FOLDER = instruments.run_folder(clusters=2000)
STACK = "plate-7/B02_3.ome.tif"
OBSERVATIONS = [
    {"Subject": "1-S001", "Observation_Date": "2001-01-01"},
    {"Subject": "1-S002", "Observation_Date": "2026-03-02"},
]


@dataclass
class Lab:
    """Three instruments, and what became of their files."""

    root: Path
    ready: dict
    api: Api
    config: Path
    observation: str = ""  # of the day of most images
    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    batches: list = field(default_factory=list)  # the names of the scanner's batches
    waiting: dict = field(default_factory=dict)  # the run while its log was open
    contents: dict = field(default_factory=dict)  # of all objects, by URL
    events: list = field(default_factory=list)  # of both daemons

    def drop(self, instrument, files):
        """Write *files*, contents by path, below the folder of an instrument."""
        write_files(self.root / instrument, files)

    def new(self, table):
        """Return the rows of a table that were not there before."""
        return new_rows(self.before, self.after).get(table, [])

    def unit(self, name):
        """Return what `show` tells of a unit, its files by path."""
        told = detailed(self.config, name)
        return told | {"files": {file["path"]: file for file in told["files"]}}

    def executions(self, table):
        """Return the name of each new row with the executions that it is linked to."""
        asset, links = table.partition(":")[2], self.new(f"{table}_Execution")
        return sorted(
            (row["Filename"], [link["Execution"] for link in links if link[asset] == row["RID"]])
            for row in self.new(table)
        )

    def made(self, description):
        """Return the RIDs of the new executions with this description, the oldest first."""
        rows = [row for row in self.new(EXECUTION) if row["Description"] == description]
        return [row["RID"] for row in sorted(rows, key=lambda row: row["RCT"])]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Let the instruments work for a while, with a kill in the middle."""
    root = tmp_path_factory.mktemp("lab")
    with sandbox(root / "server", latency_ms=5) as ready:
        config = write_config(root / "daemon", ready, root / "data")
        folders = {name: root / name for name in ("scanner", "sequencer", "microscope")}
        _watch, _, text = config.read_text().partition("[server]")  # there is no deriva-ml here
        config.write_text(f"[server]{text}{DROPS.format(**folders)}")
        for folder in folders.values():
            folder.mkdir()
        lab = Lab(root, ready, Api(ready), config)
        lab.observation = lab.api.insert("demo:Observation", *OBSERVATIONS)[0]["RID"]
        lab.before = lab.api.tables()
        work(lab)
        lab.after, lab.versions = lab.api.tables(), lab.api.versions()
        urls = [url for versions in lab.versions.values() for url in versions]
        lab.contents = {url: lab.api.content(url) for url in urls}
    return lab


def work(lab):
    """Drop everything; kill the daemon at its first object; go on before the next one."""
    stack = lab.root / "microscope" / STACK
    stack.parent.mkdir()
    (lab.root / "scanner" / DAY).mkdir(parents=True)
    (lab.root / "sequencer" / RUN / "Logs").mkdir(parents=True)
    words = [sys.executable, Path(__file__).with_name("microscope.py"), stack, "4", "0.7"]
    with (
        subprocess.Popen(words) as microscope,
        (lab.root / "scanner" / OPEN).open("wb") as image,
        (lab.root / "sequencer" / RUN / "Logs/run.log").open("wb", buffering=0) as log,
    ):
        image.write(SCANS[3][:1000])
        image.flush()
        log.write(b"cycle 4 done\n")
        with daemon(lab.config) as running:
            lab.drop("scanner", BATCH)
            lab.drop(f"sequencer/{RUN}", RUN_FOLDER | {"CopyComplete.txt": b""})
            wait_until(lambda: stored(requests_seen(lab.ready)), what="no file was sent")
            running.stop(signal.SIGKILL)
            lab.events += running.events()
        with daemon(lab.config) as running:
            lab.batches.append(ended(running, lab.root / "scanner")["execution"])
            log.write(b"copy done\n")
            lab.waiting = lab.unit(RUN)
            image.write(SCANS[3][1000:])
            image.close()
            log.close()
            go_on(lab, running)
            lab.events += running.events()
    assert microscope.returncode == 0


def go_on(lab, running):
    """Come late: a file of a run, a change of an image, the row of a subject."""
    running.wait_for_state(RUN, "uploaded")
    first = lab.batches[0]
    second = ended(running, lab.root / "scanner", lambda event: event["execution"] != first)
    lab.batches.append(second["execution"])
    ended(running, lab.root / "microscope")
    so_far = len(running.events())

    lab.drop("scanner", {f"{DAY}/IM-3.dcm": SCANS[6]})
    lab.drop(f"sequencer/{RUN}", {"Logs/late.log": b"disk is full\n"})
    lab.api.insert("demo:Subject", {"RID": "1-S009", "Name": "subject-9"})

    running.wait_for_state(RUN, "uploaded", after=so_far)
    running.wait_for_state(first, "refused", after=so_far)


def ended(running, folder, fits=lambda _: True):
    """Wait until a unit of a drop folder is in, or in but for what is refused."""
    ends = ("execution.uploaded", "execution.refused")
    return running.wait_for(
        lambda event: event["event"] in ends and event["prefix"] == str(folder) and fits(event)
    )


def md5(content):
    return hashlib.md5(content).hexdigest()


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
    refused = [event for event in lab.events if event["event"] == "file.refused"]

    assert file["state"] == "linked"
    (said,) = {event["why"] for event in refused if event["path"].startswith("subject-9")}
    assert "subject-9" in said
    assert "Subject" in said


def test_a_name_that_fits_no_pattern_is_told_with_how_far_it_fits(lab):
    file = lab.unit(lab.batches[0])["files"][f"{DAY}/IM-7.dcm.txt"]

    assert file["state"] == "unmatched"
    assert f"only '{DAY}/IM-7.dcm' of its path fits" in file["why"]


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
        md5(RUN_FOLDER[instruments.basecalls_path(cycle)]): (1, cycle)
        for cycle in range(1, instruments.CYCLES + 1)
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
    assert new_rows(lab.before, lab.after).keys() - {LEASES} <= ours


def test_no_instrument_finds_anything_new_in_its_folder(lab):
    """Nothing is copied, renamed or written there but the receipt in a folder of a run."""
    ours = {
        path.relative_to(lab.root).as_posix()
        for name in ("scanner", "sequencer", "microscope")
        for path in (lab.root / name).rglob("*")
        if path.is_file()
    }
    theirs = {f"scanner/{path}" for path in (*BATCH, OPEN)} | {f"microscope/{STACK}"}
    run = [*RUN_FOLDER, "CopyComplete.txt", "Logs/run.log", "Logs/late.log", RECEIPT]

    assert ours == theirs | {f"sequencer/{RUN}/{path}" for path in run}
