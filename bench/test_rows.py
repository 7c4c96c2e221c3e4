"""How long rows take, and how much memory: `make bench`, or `pytest -s bench/test_rows.py`.

`BENCH_ROWS` says how many rows the large file has. The floor is a bare client that sends the same
rows in the same batches, one after the other, to a server of its own.
"""

import math
import os
import resource
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from running import Api, command, sandbox, write_config

ROWS = int(os.environ.get("BENCH_ROWS", "200000"))
BATCH_ROWS = 1000
HOURS_S = 6 * 3600
SYSTEM = "RID,RCT,RMT,RCB,RMB"
# Path, columns, values of a row, and the least share of the floor's rate.
TABLES = {
    "with a key": ("demo/Subject/Subject.csv", ("Name",), lambda n: (f"row {n}",), 0.5),
    "without a key": (
        "demo/Observation/Observation.csv",
        ("Subject", "Observation_Date"),
        lambda _: ("1-S001", "2026-01-02"),
        0.4,
    ),
}


def floor_rate(folder, table):
    """Return how many rows a second a bare client sends."""
    path, columns, values = table
    name = ":".join(path.split("/")[:2])
    with sandbox(folder) as ready, Api(ready).session() as session:
        url = f"{Api(ready).catalog}/entity/{name}?onconflict=skip&defaults={SYSTEM}"
        start_s = time.monotonic()
        for first in range(0, ROWS, BATCH_ROWS):
            numbers = range(first, min(first + BATCH_ROWS, ROWS))
            batch = [dict(zip(columns, values(number), strict=True)) for number in numbers]
            answer = session.post(url, json=batch)
            answer.raise_for_status()
            assert len(answer.json()) == len(batch)
        return ROWS / (time.monotonic() - start_s)


def seconds_for(folder, ready, rows, table):
    """Return how long `upload` takes for a file of so many rows."""
    path, columns, values = table
    file = folder / "data" / "deriva-ml" / "execution" / Api(ready).execution() / "table" / path
    file.parent.mkdir(parents=True)
    with file.open("w") as out:
        out.write(",".join(columns) + "\n")
        out.writelines(",".join(values(f"{rows} {n}")) + "\n" for n in range(rows))
    config = write_config(folder / "daemon", ready, folder / "data")
    start_s = time.monotonic()
    done = command(config, "upload", file.parents[3], timeout_s=HOURS_S)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start_s


@pytest.mark.parametrize("kind", TABLES)
def test_a_large_file_of_rows(tmp_path, kind):
    *table, goal = TABLES[kind]
    floor = floor_rate(tmp_path / "bare", table)
    print(f"\n{kind}: {ROWS} rows by a bare client, {floor:.0f} rows/s")
    with sandbox(tmp_path / "server") as ready:
        took_s, peaks = [], []
        for rows in (ROWS // 10, ROWS):
            took_s.append(seconds_for(tmp_path / str(rows), ready, rows, table))
            peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
            print(
                f"{kind}: {rows} rows in {took_s[-1]:.1f} s, {rows / took_s[-1]:.0f} rows/s, "
                f"{peaks[-1]:.0f} MiB at most"
            )
    share, exponent = ROWS / took_s[1] / floor, math.log10(took_s[1] / took_s[0])
    print(
        f"{kind}: {share:.2f} of the floor (goal {goal}), exponent {exponent:.2f} (goal 1.05), "
        f"{peaks[1] - peaks[0]:.0f} MiB more than for a tenth"
    )
