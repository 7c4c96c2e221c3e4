"""`python -m bench`: measure, print the table, and keep it as text, JSON and a picture."""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench import ROOT
from bench.figures import Round
from bench.picture import svg
from bench.rows import all_rows
from bench.site import Row, Site, Sizes
from bench.table import Measured, document, text


def main() -> None:
    """Measure what the command line asks for."""
    options = _options()
    sizes = Sizes().scaled(options.bytes, options.counts)
    rows = _chosen(all_rows(sizes), options.rows)
    measured = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        for row in rows:
            rounds = [
                measure(row, Site(sizes), Path(folder), options.against)
                for _ in range(options.rounds)
            ]
            measured.append((row, rounds))
            print(text(measured[-1:]), flush=True)
            keep(measured, options.out)  # what is done is done, should a later row fail
    print(f"\n{text(measured)}\n\nkept in {options.out}")


def keep(measured: Measured, out: Path) -> None:
    """Write the table as text, JSON and a picture."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.txt").write_text(text(measured) + "\n")
    (out / "table.json").write_text(json.dumps(document(measured), indent=1) + "\n")
    (out / "table.svg").write_text(svg(measured))


def measure(row: Row, site: Site, folder: Path, against: Path | None = None) -> Round:
    """Let every competitor of a row do its work once, one after the other."""
    runs = [(name, site, run) for name, run in row.runs.items()]
    if against and "ours" in row.runs:
        before = replace(site, source=against)
        runs[1:1] = [("before", before, row.runs["ours"])]
    figures = {}
    for name, where, run in runs:
        place = Path(tempfile.mkdtemp(dir=folder))
        try:
            figures[name] = run(where, place)
        except AssertionError as error:
            if name != "before":
                raise
            print(f"{row.name}: the other version cannot do it: {error}", file=sys.stderr)
        shutil.rmtree(place)
    return figures


def _chosen(rows: list[Row], names: str) -> list[Row]:
    known = {row.name: row for row in rows}
    wanted = names.split(",") if names else list(known)
    if unknown := set(wanted) - set(known):
        sys.exit(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", default="", help="names of rows, with commas; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is repeated")
    parser.add_argument(
        "--bytes", type=float, default=0.25, help="scale of large files; 1: in full"
    )
    parser.add_argument(
        "--counts", type=float, default=0.1, help="scale of large numbers of files and rows"
    )
    parser.add_argument(
        "--against", type=Path, metavar="SRC", help="another src/ to measure beside: `before`"
    )
    parser.add_argument("--folder", type=Path, help="where trees and servers are kept meanwhile")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench", help="for the result")
    return parser.parse_args()


if __name__ == "__main__":
    main()
