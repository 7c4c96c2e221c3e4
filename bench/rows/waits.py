"""How long small work waits: alone, and behind large work."""

import statistics
import time
from functools import partial
from pathlib import Path

from bench.figures import Figure, Goal
from bench.rows.watched import QUIET_S, at, watched
from bench.site import MB, Row, Site, Sizes

EVERY_S = 2.0
FILES = 5
SMALL_BYTES = 10_000
BANDWIDTH = "20MB"


def rows(sizes: Sizes) -> list[Row]:
    """Return the rows."""
    alone, behind = "ours, alone", "ours"
    return [
        Row(
            "soon",
            f"{FILES} files every {EVERY_S:g} s, {sizes.times} times",
            "files",
            {"ours": _soon},
            (Goal("p95 s beyond the quiet time", lambda r: r["ours"].more["p95_s"], at_most=0.5),),
        ),
        Row(
            "behind",
            f"3 files behind 2 executions of 4 times {sizes.behind_mb} MB, at 20 MB/s",
            "files",
            {behind: partial(_behind, 2), alone: partial(_behind, 0)},
            (
                Goal(
                    "s more than alone",
                    lambda r: r[behind].seconds - r[alone].seconds,
                    at_most=1,
                ),
            ),
        ),
    ]


def _soon(site: Site, folder: Path) -> Figure:
    with watched(site, folder) as work, work.running() as running:
        rids, waits_s = [], []
        for _ in range(site.sizes.times):
            rid, written_s = work.write(FILES, SMALL_BYTES)
            uploaded = running.wait_for_state(rid, "uploaded")
            waits_s.append(at(uploaded) - written_s - QUIET_S)
            rids.append(rid)
            time.sleep(max(0, written_s + EVERY_S - time.time()))
        figure = work.figure(running, rids, FILES * len(rids))
        assert work.count() == FILES * len(rids)
    p95_s = sorted(waits_s)[round(0.95 * (len(waits_s) - 1))]
    more = {"p95_s": p95_s, "median_s": statistics.median(waits_s)}
    return Figure(figure.amount, sum(waits_s), figure.cpu_s, figure.peak_mib, more)


def _behind(large: int, site: Site, folder: Path) -> Figure:
    transfer = {"bandwidth_bytes_per_s": BANDWIDTH}
    with watched(site, folder, transfer=transfer) as work:
        before = [work.write(4, site.sizes.behind_mb * MB)[0] for _ in range(large)]
        with work.running() as running:
            for rid in before:
                running.wait_for_state(rid, "ready")
            if before:
                running.wait_for(lambda event: event["event"] == "execution.uploading")
            rid, written_s = work.write(3, SMALL_BYTES)
            figure = work.figure(running, [rid], 3)
            uploaded = running.wait_for_state(rid, "uploaded")
    return Figure(3, at(uploaded) - written_s - QUIET_S, figure.cpu_s, figure.peak_mib)
