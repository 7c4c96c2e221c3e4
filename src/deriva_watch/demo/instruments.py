"""What instruments leave, as they leave it: they know nothing of deriva-ml.

The scans are real DICOM files of a CT scanner (their licence lies beside them). The run is laid
out as a MiSeq does, each file in the format of its kind; its base calls are drawn by chance.
"""

import struct
from importlib.resources import files
from random import Random
from typing import Final

RUN: Final = "260302_M00001_0042_000000000-DEMO1"
CYCLES: Final = 4
RTA_COMPLETE: Final = "RTAComplete.txt"  # written when the last base is called
COPY_COMPLETE: Final = "CopyComplete.txt"  # written when everything is copied

_RUN_INFO: Final = """\
<?xml version="1.0"?>
<RunInfo xmlns:xsd="http://www.w3.org/2001/XMLSchema" Version="2">
  <Run Id="{run}" Number="42">
    <Flowcell>000000000-DEMO1</Flowcell>
    <Instrument>M00001</Instrument>
    <Date>260302</Date>
    <Reads>
      <Read NumCycles="{cycles}" Number="1" IsIndexedRead="N" />
    </Reads>
    <FlowcellLayout LaneCount="1" SurfaceCount="1" SwathCount="1" TileCount="1" />
  </Run>
</RunInfo>
"""
_SAMPLE_SHEET: Final = """\
[Header]
IEMFileVersion,4
Date,3/2/2026
Workflow,GenerateFASTQ
[Reads]
{cycles}
[Data]
Sample_ID,Sample_Name,index
1,subject-1,ATTACTCG
2,subject-2,TCCGGAGA
"""


def scans() -> dict[str, bytes]:
    """Return the images of a series by their names, in the order they were taken."""
    folder = files("deriva_watch.demo") / "dicom"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".dcm"))
    return {name: (folder / name).read_bytes() for name in names}


def run_folder(clusters: int = 20_000) -> dict[str, bytes]:
    """Return the files of a run by their paths, in the order they are written.

    Args:
        clusters: How many there are on the only tile, a byte each in every cycle.
    """
    calls = {basecalls_path(cycle): basecalls(cycle, clusters) for cycle in range(1, CYCLES + 1)}
    return {
        "RunInfo.xml": _RUN_INFO.format(run=RUN, cycles=CYCLES).encode(),
        "SampleSheet.csv": _SAMPLE_SHEET.format(cycles=CYCLES).encode(),
        **calls,
        RTA_COMPLETE: b"3/2/2026,17:02:11.201,Illumina RTA 1.18.54\r\n",
    }


def basecalls_path(cycle: int) -> str:
    """Return where the base calls of a cycle lie, below the run's folder."""
    return f"Data/Intensities/BaseCalls/L001/C{cycle}.1/s_1_1101.bcl"


def basecalls(cycle: int, clusters: int) -> bytes:
    """Return a BCL file: the number of clusters, then base (2 bits) and quality (6) of each."""
    calls = Random(cycle).randbytes(clusters)  # noqa: S311  # nobody must not guess it
    return struct.pack("<I", clusters) + calls
