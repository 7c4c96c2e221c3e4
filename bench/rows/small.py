"""Many small files, near the server and 20 ms away from it."""

from functools import partial
from pathlib import Path
from typing import Any

from bench.figures import Figure, Goal, faster
from bench.site import Row, Run, Site, Sizes, by_deriva_py, by_floor, by_ours, lab_server

MORE = 16  # connections
REAL = 0.2  # of the files


def rows(sizes: Sizes) -> list[Row]:
    """Return the rows."""
    what = f"{sizes.small_files:,} files of {sizes.small_bytes:,} bytes"
    return [
        Row(
            "small",
            f"{what}, no delay",
            "files",
            {"ours": _ours(0), "deriva-py": _deriva_py(0), "floor": _floor(0)},
            (
                faster("floor", 0.7),
                faster("deriva-py", 5),
                Goal(
                    "ours: CPU ms a file",
                    lambda r: 1000 * r["ours"].cpu_s / r["ours"].amount,
                    at_most=1.5,
                ),
            ),
        ),
        Row(
            "rtt20",
            f"{what}, 20 ms a request",
            "files",
            {
                "ours": _ours(20),
                f"ours, {MORE}": _ours(20, connections=MORE),
                "deriva-py": _deriva_py(20),
                "floor": _floor(20),
                f"floor, {MORE}": _floor(20, connections=MORE),
            },
            (
                faster("deriva-py", 25),
                faster("deriva-py", 32, f"ours, {MORE}"),
            ),
        ),
        Row(
            "real",
            f"{round(sizes.small_files * REAL):,} of these, at the speed of real servers",
            "files",
            {
                "ours": _real(by_ours, REAL),
                f"ours, {MORE}": _real(by_ours, REAL, connections=MORE),
                "deriva-py": _shared(by_deriva_py, {"profile": "real"}, REAL),
                "floor": _real(by_floor, REAL),
                f"floor, {MORE}": _real(by_floor, REAL, connections=MORE),
            },
            (faster("floor", 0.7), faster("deriva-py", 5)),
        ),
    ]


def _ours(latency_ms: int, **transfer: Any) -> Run:
    return partial(_run, by_ours, 1.0, {"latency_ms": latency_ms}, **transfer)


def _floor(latency_ms: int, **more: Any) -> Run:
    return partial(_run, by_floor, 1.0, {"latency_ms": latency_ms}, **more)


def _deriva_py(latency_ms: int) -> Run:
    return _shared(by_deriva_py, {"latency_ms": latency_ms})


def _real(by: Any, part: float, **more: Any) -> Run:
    return partial(_run, by, part, {"profile": "real"}, **more)


def _shared(by: Any, server: dict[str, Any], part: float = 1.0) -> Run:
    """Return the run of somebody who gets a share of the files."""

    def run(site: Site, folder: Path) -> Figure:
        return _run(by, part * site.sizes.share, server, site, folder)

    return run


def _run(
    by: Any, part: float, server: dict[str, Any], site: Site, folder: Path, **more: Any
) -> Figure:
    count = max(1, round(site.sizes.small_files * part))
    with lab_server(folder, **server) as ready:
        return by(site, folder, ready, count, site.sizes.small_bytes, **more)
