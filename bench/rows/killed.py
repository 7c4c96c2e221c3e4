"""A large file whose upload is killed at 90 %: how much is sent again?"""

from functools import partial
from pathlib import Path

from bench.figures import Figure, Goal
from bench.rows.watched import Watched, watched
from bench.site import MB, Row, Site, Sizes
from running import requests_seen, wait_until

CHUNKS = 40
CONNECTIONS = 4
KILLED_AT = 0.9
BANDWIDTH = "50MB"  # slow enough to be killed in time


def rows(sizes: Sizes) -> list[Row]:
    """Return the row."""
    in_flight = CONNECTIONS / CHUNKS
    return [
        Row(
            "killed",
            f"one file of {sizes.killed_mb} MB, killed at {KILLED_AT:.0%}",
            "MB",
            {"ours": partial(_killed, sizes.killed_mb)},
            (
                Goal(
                    "share sent again",
                    lambda r: r["ours"].more["again"],
                    at_most=1 - KILLED_AT + in_flight,
                ),
            ),
        )
    ]


def _killed(mb: int, site: Site, folder: Path) -> Figure:
    size_bytes = mb * MB
    transfer = {
        "bandwidth_bytes_per_s": BANDWIDTH,
        "chunk_bytes": size_bytes // CHUNKS,
        "connections": CONNECTIONS,
    }
    with watched(site, folder, transfer=transfer) as work:
        rid, _ = work.write(1, size_bytes)
        with work.running() as running:
            wait_until(lambda: _sent_bytes(work) >= KILLED_AT * size_bytes, 3600)
            running.process.kill()
            running.process.wait()
        with work.running() as running:
            figure = work.figure(running, [rid], mb)
        assert work.count() == 1
        again = (_sent_bytes(work) - size_bytes) / size_bytes
    return Figure(mb, figure.seconds, figure.cpu_s, figure.peak_mib, {"again": again})


def _sent_bytes(work: Watched) -> int:
    """Return how many bytes of contents the store has received."""
    return sum(
        each["received_bytes"]
        for each in requests_seen(work.ready)
        if each["method"] == "PUT" and each["path"].startswith("/hatrac")
    )
