"""Three instruments that know nothing of deriva-ml, and a daemon that is killed while they work."""

import hashlib
import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom.data

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.states import ExecutionState
from deriva_watch.demo import content
from deriva_watch.status import open_views
from running import Api, daemon, detailed, requests_seen, wait_until, write_config, write_files
from system.difference import new_rows

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
rescan_s = 1  # finds what comes late, as nothing below a finished run is watched
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
EXECUTION = "deriva-ml:Execution"
IMAGE, RUN_FILE, MICROGRAPH = "demo:Image", "demo:Sequencer_File", "demo:Micrograph"
SERIES = Path(pydicom.data.__file__).parent / "test_files/dicomdirtests/98892003/MR700"
SCANS = [path.read_bytes() for path in sorted(SERIES.iterdir())]
INSTRUMENTS = ("scanner", "sequencer", "microscope")
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
RUN = content.RUN
RUN_FOLDER = content.run_folder(clusters=2000)
STACK = "plate-7/B02_3.ome.tif"
OBSERVATIONS = [
    {"Subject": "1-S001", "Observation_Date": "2001-01-01"},
    {"Subject": "1-S002", "Observation_Date": "2026-03-02"},
]


def md5(content):
    """Return the MD5 as the catalog has it."""
    return hashlib.md5(content).hexdigest()


@dataclass
class Lab:
    """Where the instruments write, and what became of their files."""

    root: Path
    ready: dict
    config: Path
    observation: str = ""  # of the day of most images
    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    contents: dict = field(default_factory=dict)  # of all objects, by URL
    batches: list = field(default_factory=list)  # the names of the scanner's batches
    waiting: dict = field(default_factory=dict)  # the run while its log was open

    @property
    def api(self):
        """The server, by plain HTTP."""
        return Api(self.ready)

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

    def ended(self, instrument):
        """Return the names of its units that are in, or in but for what is refused; in order."""
        ends = (ExecutionState.UPLOADED, ExecutionState.REFUSED)
        journal = self.config.parent / "state" / "journal.db"
        try:
            records = open_views(f"sqlite:///{journal}").executions()
        except TroubleError:  # there is none yet
            return []
        folder = str(self.root / instrument)
        return [each.rid for each in records if each.prefix == folder and each.state in ends]

    def events(self):
        """Return what all daemons have logged."""
        lines = self.config.with_suffix(".log").read_text().splitlines()
        return [json.loads(line) for line in lines]

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


def furnish(root, ready):
    """Return a lab whose folders are empty, and whose settings have no `[[watch]]`."""
    config = write_config(root / "daemon", ready, root / "data")
    folders = {name: root / name for name in INSTRUMENTS}
    _watch, _, text = config.read_text().partition("[server]")
    config.write_text(f"[server]{text}{DROPS.format(**folders)}")
    for folder in folders.values():
        folder.mkdir()
    lab = Lab(root, ready, config)
    lab.observation = lab.api.insert("demo:Observation", *OBSERVATIONS)[0]["RID"]
    lab.before = lab.api.tables()
    return lab


def work(lab, kills):
    """Let everything happen while the daemon is killed at each of *kills*, in order."""
    stack = lab.root / "microscope" / STACK
    stack.parent.mkdir()
    (lab.root / "scanner" / DAY).mkdir(parents=True)
    (lab.root / "sequencer" / RUN / "Logs").mkdir(parents=True)
    words = [sys.executable, Path(__file__).with_name("microscope.py"), stack, "4", "0.7"]
    with (
        subprocess.Popen(words) as microscope,
        (lab.root / "scanner" / OPEN).open("wb") as image,
        (lab.root / "sequencer" / RUN / "Logs/run.log").open("wb", buffering=0) as log,
        _kept_running(lab, kills),
    ):
        image.write(SCANS[3][:1000])
        image.flush()
        log.write(b"cycle 4 done\n")
        lab.drop("scanner", BATCH)
        lab.drop(f"sequencer/{RUN}", RUN_FOLDER | {"CopyComplete.txt": b""})
        _wait(lambda: lab.ended("scanner"), "the first batch did not end")
        _wait(lambda: "run.log" in str(lab.unit(RUN)["verdict"]), "nobody saw who writes the log")
        lab.waiting = lab.unit(RUN)
        log.write(b"copy done\n")
        image.write(SCANS[3][1000:])
        image.close()
        log.close()
        _come_late(lab)
    assert microscope.returncode == 0
    lab.after, lab.versions = lab.api.tables(), lab.api.versions()
    urls = [url for versions in lab.versions.values() for url in versions]
    lab.contents = {url: lab.api.content(url) for url in urls}


def _come_late(lab):
    """Add a file to a run, change an image, and insert the row of a subject."""
    _wait(lambda: lab.ended("sequencer"), "the run did not end")
    _wait(lambda: lab.ended("microscope"), "the stack did not go in")
    _wait(lambda: len(lab.ended("scanner")) == 2, "the second batch did not end")
    lab.batches = lab.ended("scanner")
    changed, late = f"{DAY}/IM-3.dcm", "Logs/late.log"

    lab.api.insert("demo:Subject", {"RID": "1-S009", "Name": "subject-9"})
    lab.drop("scanner", {changed: SCANS[6]})
    lab.drop(f"sequencer/{RUN}", {late: b"disk is full\n"})

    _wait(lambda: _is_in(lab, lab.batches[0], changed, SCANS[6]), "the change did not go in")
    _wait(lambda: _is_in(lab, RUN, late, b"disk is full\n"), "the late file did not go in")


def _is_in(lab, unit, path, content):
    told = lab.unit(unit)
    file = told["files"].get(path, {})
    is_linked = file.get("state") == "linked" and file["md5"] == md5(content)
    return is_linked and told["state"] in ("uploaded", "refused")


def _wait(condition, what):
    wait_until(condition, 120, what)


@contextmanager
def _kept_running(lab, kills):
    """Run the daemon while the block lasts; start it again after each kill."""
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        living = pool.submit(_live, lab, kills, done)
        try:
            yield
        finally:
            done.set()
        assert living.result() >= 2, "the daemon was not killed in the middle"


def _live(lab, kills, done):
    """Return how often the daemon was killed by the time that all is *done*."""
    for number, is_time in enumerate([*kills, None]):
        with daemon(lab.config) as running:
            while not (is_time and is_time(requests_seen(lab.ready))):
                assert running.process.poll() is None, "the daemon has ended by itself"
                if done.wait(0.02):
                    return number
            running.stop(signal.SIGKILL)
    raise AssertionError("after the last kill nothing ends the daemon but the end of the work")
