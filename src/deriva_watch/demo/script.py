"""What the demo's programs and instruments write, where and when.

Times are seconds from the start.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deriva_watch.core.model import ML_SCHEMA, TableName
from deriva_watch.demo import content, instruments
from deriva_watch.demo.layouts import Asset, Flat, Layout, Scans, SequencerRun, Tree, Typed

QUIET_S: Final = 3.0  # the daemon's quiet_s
SILENCE_S: Final = 2 * QUIET_S  # how long the evaluation writes nothing, and is not done
MARKER: Final = ".complete"
WORKFLOW: Final = "1-W001"  # of all executions

_IMAGE: Final = TableName("demo", "Image")
_ASSET: Final = TableName(ML_SCHEMA, "Execution_Asset")
_METADATA: Final = TableName(ML_SCHEMA, "Execution_Metadata")
_SEQUENCER: Final = TableName("demo", "Sequencer_File")


@dataclass(frozen=True, slots=True)
class Burst:
    """Pieces that a program appends one after the other."""

    begin_s: float
    pieces: int = 1
    every_s: float = 0.1


@dataclass(frozen=True, slots=True)
class File:
    """A file, its pieces and when they are written."""

    asset: Asset
    content: content.Pieces
    bursts: tuple[Burst, ...]

    def pieces(self) -> Iterator[tuple[float, int]]:
        """Yield the time and the number of each piece."""
        number = 0
        for burst in self.bursts:
            for count in range(burst.pieces):
                yield burst.begin_s + count * burst.every_s, number
                number += 1


@dataclass(frozen=True, slots=True)
class Script:
    """An execution.

    Attributes:
        title: What it shows, for people.
        layout: Where its files lie and how they are described.
        files: Its files.
        end_s: When its program ends.
        status: Of its row while it writes, where it has one.
        says_done: A marker file or a Status: how its program says that it has ended, if it does.
    """

    title: str
    layout: Layout
    files: tuple[File, ...]
    end_s: float = 0.0
    status: str = "Running"
    says_done: str = "Stopped"

    @property
    def status_after(self) -> str:
        """The Status that its row must have in the end: what is Stopped is moved, or made by us."""
        moved = self.layout.unit or self.says_done == "Stopped"
        return "Uploaded" if moved else self.status


def earlier() -> Script:
    """Return the execution whose directory is there before the daemon."""
    notebook = {"cells": [], "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4}
    return Script(
        "there before the daemon",
        Typed(),
        (
            _one("analysis.ipynb", _ASSET, "Notebook_Output", notebook, 0),
            _calibration(0),
            _one("environment.json", _METADATA, "Runtime_Env", {"python": "3.12"}, 0),
        ),
    )


def later() -> tuple[Script, ...]:
    """Return the executions that are written while the daemon watches."""
    return _microscope(), _training(), _evaluation(), scanner(), sequencer()


def scanner() -> Script:
    """Return what a scanner leaves, which knows nothing of deriva-ml and never says it is done."""
    about = {"Subject": "1-S001", "Acquisition_Date": "2001-01-01"}
    return Script(
        "scanner, a batch of DICOM images",
        Scans(),
        tuple(
            File(Asset(name, _IMAGE, ("Image",), about), _halves(image), (Burst(0.5 + at / 4, 2),))
            for at, (name, image) in enumerate(instruments.scans().items())
        ),
        end_s=2.0,
        says_done="",
    )


def sequencer() -> Script:
    """Return the run of a sequencer, whose last word is CopyComplete.txt."""
    folder = instruments.run_folder()
    return Script(
        f"sequencer, ends with {instruments.COPY_COMPLETE}",
        SequencerRun(),
        tuple(
            File(_of_run(path), _halves(folder[path]), (Burst(0.4 + number / 2, 2),))
            for number, path in enumerate(folder)
        ),
        end_s=5.0,
        says_done=instruments.COPY_COMPLETE,
    )


def _of_run(path: str) -> Asset:
    cycles = {instruments.basecalls_path(n): str(n) for n in range(1, instruments.CYCLES + 1)}
    lane = "1" if path in cycles else None
    about = {"Run": instruments.RUN, "Instrument": "M00001", "Lane": lane}
    name = path.rpartition("/")[2]
    return Asset(name, _SEQUENCER, ("Output_File",), {**about, "Cycle": cycles.get(path)})


def _halves(whole: bytes) -> content.Pieces:
    return content.cut(whole, 2)


def _microscope() -> Script:
    names = ("scan_01.png", "scan_02.png", "scan 03 (retake).png", "scan_04.PNG")
    return Script(
        f"microscope, ends with {MARKER}",
        Tree(),
        tuple(_scan(name, number) for number, name in enumerate(names)),
        end_s=5.0,
        status="Created",
        says_done=MARKER,
    )


def _scan(name: str, number: int) -> File:
    metadata = {
        "Acquisition_Date": "2026-03-02",
        "Acquisition_Time": f"2026-03-02T09:{15 + number}:00",
        "Observation": "1-B001" if number else None,
        "Subject": f"1-S00{1 + number % 3}",
    }
    asset = Asset(name, _IMAGE, ("Image",), metadata)
    return File(asset, content.image(number, 8), (Burst(0.3 + number, 8),))


def _training() -> Script:
    overlay = {"Subject": "1-S002", "Acquisition_Date": "2026-03-02"}
    config = {"learning_rate": 3e-4, "batch": 64, "epochs": 8}
    model = Asset("model.v2.pt", _ASSET, ("Model_File",), text="Weights after the last epoch")
    picture = Asset("overlay.png", _IMAGE, ("Image", "Output_File"), overlay, "What it looks at")
    return Script(
        "training run, model of 60 MB",
        Flat(),
        (
            _one("config.json", _METADATA, "Execution_Config", config, 0.2),
            _growing("metrics.csv", _ASSET, "Output_File", content.metrics, Burst(0.5, 80)),
            _growing(
                "train.log", _METADATA, "Execution_Metadata", content.log, Burst(0.5, 160, 0.05)
            ),
            File(model, content.weights, (Burst(1.0, 60, 0.12),)),
            File(picture, content.image(9, 4), (Burst(8.0, 4),)),
        ),
        end_s=9.0,
    )


def _evaluation() -> Script:
    again_s = 2.0 + SILENCE_S
    both = Burst(0.5, 15), Burst(again_s, 15)
    return Script(
        f"evaluation, silent for {SILENCE_S:.0f} s",
        Flat(),
        (
            _calibration(0.4),
            _growing("predictions.csv", _ASSET, "Output_File", content.metrics, *both),
            _growing("evaluate.log", _METADATA, "Execution_Metadata", content.log, *both),
            _one("report.json", _ASSET, "Output_File", {"accuracy": 0.93}, again_s + 1),
        ),
        end_s=again_s + 2,
    )


def _calibration(begin_s: float) -> File:
    """Return a file that two executions have: it is stored and recorded once, linked twice."""
    return _one(
        "calibration.json", _ASSET, "Execution_Asset", {"gain": 1.25, "offset": -0.5}, begin_s
    )


def _one(name: str, table: TableName, kind: str, value: Mapping[str, Any], begin_s: float) -> File:
    return _growing(name, table, kind, content.document(value), Burst(begin_s))


def _growing(
    name: str, table: TableName, kind: str, pieces: content.Pieces, *bursts: Burst
) -> File:
    return File(Asset(name, table, (kind,)), pieces, bursts)
