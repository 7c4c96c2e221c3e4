"""The one table of what the demo's programs and instruments write, where and when.

Times are seconds from the start.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from deriva_watch.core.model import ML_SCHEMA, TableName
from deriva_watch.demo import content

BATCH: Final = "batch-"  # the daemon adds the time to the name of a batch
WORKFLOW: Final = "1-W001"  # of all executions

_IMAGE: Final = TableName("demo", "Image")
_ASSET: Final = TableName(ML_SCHEMA, "Execution_Asset")
_METADATA: Final = TableName(ML_SCHEMA, "Execution_Metadata")
_SEQUENCER: Final = TableName("demo", "Sequencer_File")


@dataclass(frozen=True)
class File:
    """A file as it is written, and the asset row that it must become.

    Attributes:
        path: Its path below the execution directory or unit; its name where the layout has more.
        table: The asset table.
        types: Its asset types.
        data: The whole content.
        times_s: When its program appends; each time an equal part of the content.
        metadata: Values by metadata column.
        description: Its description in the catalog.
    """

    path: str
    table: TableName
    types: tuple[str, ...]
    data: bytes
    times_s: tuple[float, ...] = (0.4,)
    metadata: Mapping[str, str | None] = field(default_factory=dict)
    description: str | None = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @cached_property
    def md5(self) -> str:
        """MD5 of the content."""
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()

    @property
    def row(self) -> dict[str, Any]:
        """What its row must be, but for the columns that the server decides."""
        known = {"Filename": self.name, "Length": len(self.data), "MD5": self.md5}
        return known | {"Description": self.description, **self.metadata}

    def part(self, number: int) -> bytes:
        """Return the part of the content that is written at `times_s[number]`."""
        length = -(-len(self.data) // len(self.times_s))
        return self.data[number * length : (number + 1) * length]


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution.

    Attributes:
        title: What it shows; also its description in the catalog.
        layout: Where its files are and how they are described.
        files: Its files.
        end_s: When its program ends.
        folder: The name of the prefix or drop folder.
        unit: The unit in a drop folder; "" where the program creates the Execution itself.
        status: Status of the Execution while the program writes.
        done: The marker file or Status by which its program says that it has ended; "" for none.
    """

    title: str
    layout: Literal["typed", "tree", "flat", "drop folder"]
    files: tuple[File, ...]
    end_s: float
    folder: str = "data"
    unit: str = ""
    status: str = "Running"
    done: str = "Stopped"

    @property
    def final_status(self) -> str:
        """The Status that its row must have in the end: the daemon moves only Stopped ones."""
        return "Uploaded" if self.unit or self.done == "Stopped" else self.status


def executions() -> tuple[Execution, ...]:
    """Return all executions; the directory of the first is there before the daemon starts."""
    return _analysis(), _microscope(), _training(), scanner(), sequencer()


# Two executions have it: one object, one row, two links.
_CALIBRATION: Final = File(
    *("execution-asset/Execution_Asset/calibration.json", _ASSET, ("Execution_Asset",)),
    data=b'{"gain": 1.25}\n',
)


def _analysis() -> Execution:
    asset, metadata, python = "execution-asset", "execution-metadata", b'{"python": "3.12"}\n'
    notebook = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n'
    files = (
        File(f"{asset}/Notebook_Output/analysis.ipynb", _ASSET, ("Notebook_Output",), notebook),
        File(f"{metadata}/Runtime_Env/environment.json", _METADATA, ("Runtime_Env",), python),
        _CALIBRATION,
    )
    return Execution("analysis, older than the daemon", "typed", files, end_s=0)


def _microscope() -> Execution:
    names = ("scan_01.png", "scan_02.png", "scan 03 (retake).png", "scan_04.PNG")
    files = tuple(
        File(name, _IMAGE, ("Image",), content.image(at), _times(0.3 + at, 8), _about(at))
        for at, name in enumerate(names)
    )
    title = "microscope, ends with .complete"
    return Execution(title, "tree", files, 5, status="Created", done=".complete")


def _about(number: int) -> dict[str, str | None]:
    return {
        "Acquisition_Date": "2026-03-02",
        "Acquisition_Time": f"2026-03-02T09:{15 + number}:00",
        "Observation": "1-B001" if number else None,
        "Subject": f"1-S00{1 + number % 3}",
    }


def _training() -> Execution:
    """Return a run that writes nothing for twice as long as the daemon's quiet_s."""
    both = _times(0.5, 30) + _times(10, 5)
    about = {"Subject": "1-S002", "Acquisition_Date": "2026-03-02"}
    config, weights = b'{"learning_rate": 3e-4}\n', content.noise(1, 60_000_000)
    kinds, image = ("Image", "Output_File"), content.image(9)
    files = (
        _CALIBRATION,
        File("config.json", _METADATA, ("Execution_Config",), config),
        File("metrics.csv", _ASSET, ("Output_File",), content.metrics(80), both),
        File("model.v2.pt", _ASSET, ("Model_File",), weights, _times(1, 60, 0.05)),
        File("overlay.png", _IMAGE, kinds, image, _times(10, 4), about, "Where the model looks"),
    )
    return Execution("training, 60 MB, silent for 6 s", "flat", files, 10.5)


def scanner() -> Execution:
    """Return a batch of scans: the scanner never says that it is done."""
    about = {"Subject": "1-S001", "Acquisition_Date": "2001-01-01"}
    files = tuple(
        File(f"subject-1/2001-01-01/{name}", _IMAGE, ("Image",), data, _times(at / 4, 2), about)
        for at, (name, data) in enumerate(content.scans().items(), start=2)
    )
    title = "scanner, a batch of DICOM images"
    return Execution(title, "drop folder", files, 2, "scanner", BATCH, done="")


def sequencer() -> Execution:
    """Return the run of a sequencer, which ends with CopyComplete.txt."""
    files = tuple(
        File(path, _SEQUENCER, ("Output_File",), data, _times(0.4 + at / 2, 2), _of_run(path))
        for at, (path, data) in enumerate(content.run_folder().items())
    )
    title, done = "sequencer with CopyComplete.txt", "CopyComplete.txt"
    return Execution(title, "drop folder", files, 5, "sequencer", content.RUN, done=done)


def _of_run(path: str) -> dict[str, str | None]:
    cycle = next((str(n) for n in range(1, content.CYCLES + 1) if f"/C{n}." in path), None)
    run = {"Run": content.RUN, "Instrument": "M00001"}
    return {**run, "Lane": "1" if cycle else None, "Cycle": cycle}


def _times(begin_s: float, count: int, every_s: float = 0.1) -> tuple[float, ...]:
    return tuple(begin_s + number * every_s for number in range(count))
