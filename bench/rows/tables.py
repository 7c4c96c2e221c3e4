"""A file of rows for a table with a key, and for one without."""

import math
from functools import partial
from pathlib import Path

from bench.figures import Figure, Goal, Round, faster
from bench.site import Row, Site, Sizes
from running import Api, credential, directory, sandbox, write_config, write_files

KINDS = {
    "keyed": ("demo/Subject", "Name", "row {n}", 0.5),
    "keyless": ("demo/Observation", "Subject,Observation_Date", "1-S001,2026-01-02", 0.4),
}
FEWER = 4  # times


def rows(sizes: Sizes) -> list[Row]:
    """Return the rows."""
    return [_row(kind, sizes) for kind in KINDS]


def _row(kind: str, sizes: Sizes) -> Row:
    fewer = max(1, sizes.rows // FEWER)
    few = f"ours, {fewer:,}"

    def exponent(figures: Round) -> float:
        return math.log(figures["ours"].seconds / figures[few].seconds, sizes.rows / fewer)

    return Row(
        kind,
        f"{sizes.rows:,} rows {'with' if kind == 'keyed' else 'without'} a key",
        "rows",
        {
            "ours": partial(_ours, kind, sizes.rows),
            few: partial(_ours, kind, fewer),
            "floor": partial(_floor, kind, sizes.rows),
        },
        (faster("floor", KINDS[kind][3]), Goal("exponent of the time", exponent, at_most=1.05)),
    )


def _ours(kind: str, count: int, site: Site, folder: Path) -> Figure:
    table, header, line, _ = KINDS[kind]
    name = table.rpartition("/")[2]
    with sandbox(folder / "server") as ready:
        order = {}
        for work, rows in (("warm_", 1), ("", count)):
            rid, prefix = Api(ready).execution(), folder / f"{work}data"
            lines = [header, *(line.format(n=f"{work}{n}") for n in range(rows))]
            files = {f"table/{table}/{name}.csv": "\n".join(lines) + "\n"}
            write_files(directory(prefix, rid), files)
            config = write_config(folder / f"{work}daemon", ready, prefix)
            order |= {f"{work}config": config, f"{work}tree": prefix, f"{work}unit": rid}
        before = len(Api(ready).rows(table.replace("/", ":")))
        figure = site.measure("ours", folder, **order, amount=count)
        assert len(Api(ready).rows(table.replace("/", ":"))) == before + 1 + count
        return figure


def _floor(kind: str, count: int, site: Site, folder: Path) -> Figure:
    table, header, line, _ = KINDS[kind]
    with sandbox(folder / "server") as ready:
        before = len(Api(ready).rows(table.replace("/", ":")))
        figure = site.measure(
            "batches",
            folder,
            host=ready["host"],
            token=credential(ready)["bearer-token"],
            path=f"/ermrest/catalog/{ready['catalog']}/entity/{table.replace('/', ':')}",
            columns=header,
            line=line,
            count=count,
        )
        assert len(Api(ready).rows(table.replace("/", ":"))) == before + count
        return figure
