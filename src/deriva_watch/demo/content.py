"""The contents of the demo's files, the same in every run.

The scans are real DICOM files of a CT scanner (their licence is beside them). The run folder has
the layout of a MiSeq and files in its formats; the base calls are random.
"""

import struct
import zlib
from importlib.resources import files
from random import Random
from typing import Final

RUN: Final = "260302_M00001_0042_000000000-DEMO1"
CYCLES: Final = 4  # as RunInfo.xml says
RTA_COMPLETE: Final = "RTAComplete.txt"  # written after the last base call

_SIDE: Final = 384  # pixels of an image
_DATA: Final = files("deriva_watch.demo")


def metrics(epochs: int) -> bytes:
    """Return a CSV table."""
    lines = (f"{epoch},{2.3 / (1 + epoch / 12):.5f}" for epoch in range(epochs))
    return "\n".join(["epoch,loss", *lines, ""]).encode()


def noise(seed: int, size_bytes: int) -> bytes:
    """Return random bytes, such as the weights of a model."""
    return Random(seed).randbytes(size_bytes)  # noqa: S311  # needs no secrecy


def image(seed: int) -> bytes:
    """Return a grey PNG."""
    lines = b"".join(b"\0" + noise(seed + line, _SIDE) for line in range(0, _SIDE * 10, 10))
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    chunks = (b"IHDR" + head, b"IDAT" + zlib.compress(lines), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each))
        for each in chunks
    )


def scans() -> dict[str, bytes]:
    """Return the images of one series by name, in the order in which they were taken."""
    folder = _DATA / "dicom"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".dcm"))
    return {name: (folder / name).read_bytes() for name in names}


def run_folder(clusters: int = 20_000) -> dict[str, bytes]:
    """Return the files of a sequencer's run by path, in the order in which they are written.

    Args:
        clusters: Clusters on the only tile; each has one byte per cycle.
    """
    first = ("RunInfo.xml", "SampleSheet.csv")
    count = struct.pack("<I", clusters)
    calls = {basecalls(cycle): count + noise(cycle, clusters) for cycle in range(1, CYCLES + 1)}
    last = {RTA_COMPLETE: b"3/2/2026,17:02:11.201,Illumina RTA 1.18.54\r\n"}
    return {name: (_DATA / "sequencer" / name).read_bytes() for name in first} | calls | last


def basecalls(cycle: int) -> str:
    """Return the path of a cycle's base calls (BCL) in the run folder."""
    return f"Data/Intensities/BaseCalls/L001/C{cycle}.1/s_1_1101.bcl"
