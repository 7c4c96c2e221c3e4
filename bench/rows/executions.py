"""Many files in many executions, in one, and in ever larger ones."""

import math
import statistics
from functools import partial
from pathlib import Path

from bench.figures import Figure, Goal, Round, faster
from bench.rows.watched import at, watched
from bench.site import Row, Site, Sizes

SMALL_BYTES = 1000
FIXED_MIB, FILE_MIB = 150, 0.5 / 1024


def rows(sizes: Sizes) -> list[Row]:
    """Return the rows."""
    each = max(1, sizes.files // sizes.executions)
    many = [max(1, sizes.many // part) for part in (100, 10, 1)]
    largest = _named(many[-1])
    return [
        Row(
            "executions",
            f"{sizes.executions * each:,} files of {SMALL_BYTES} bytes in {sizes.executions}",
            "files",
            {
                "ours": partial(_upload, sizes.executions, each),
                "ours, one": partial(_upload, 1, sizes.executions * each),
            },
            (faster("ours, one", 0.9),),
        ),
        Row(
            "many",
            f"{', '.join(f'{count:,}' for count in many)} files in one execution",
            "files",
            {_named(count): partial(_upload, 1, count) for count in many},
            (
                Goal("exponent of the time", partial(_exponent, many), at_most=1.05),
                Goal("s to the first PUT", lambda r: r[largest].more["first_s"], at_most=3),
                Goal(
                    "peak MiB",
                    lambda r: r[largest].peak_mib,
                    at_most=FIXED_MIB + FILE_MIB * many[-1],
                ),
            ),
        ),
    ]


def _named(count: int) -> str:
    return f"ours, {count:,}"


def _upload(executions: int, files: int, site: Site, folder: Path) -> Figure:
    with watched(site, folder) as work:
        rids = [work.write(files, SMALL_BYTES)[0] for _ in range(executions)]
        with work.running() as running:
            figure = work.figure(running, rids, executions * files)
            events = running.events()
        assert work.count() == executions * files
    ready_s = min(at(each) for each in events if each["event"] == "execution.ready")
    stored_s = min(at(each) for each in events if each["event"] == "file.stored")
    return Figure(
        figure.amount,
        figure.seconds,
        figure.cpu_s,
        figure.peak_mib,
        {"first_s": stored_s - ready_s},
    )


def _exponent(many: list[int], figures: Round) -> float:
    """Return how the time grows with the number of files: 1 if in proportion."""
    counts = [math.log(count) for count in many]
    return statistics.linear_regression(
        counts, [math.log(figures[_named(count)].seconds) for count in many]
    ).slope
