"""How long rows take, and how much memory: `make bench`, or `pytest -s bench/test_rows.py`.

`BENCH_ROWS` says how many rows the large file has.
"""

import os
import resource
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from running import Api, command, sandbox, write_config

ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
HOURS_S = 6 * 3600
TABLES = {
    "with a key": ("demo/Subject/Subject.csv", "Name\n", "{run} row {n}\n"),
    "without a key": (
        "demo/Observation/Observation.csv",
        "Subject,Observation_Date\n",
        "1-S001,2026-01-02\n",
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_large_file_of_rows(tmp_path, kind):
    path, header, line = TABLES[kind]
    with sandbox(tmp_path / "server") as ready:
        peaks = []
        for rows in (1000, ROWS):
            folder = tmp_path / str(rows)
            rid = Api(ready).execution()
            directory = folder / "data" / "deriva-ml" / "execution" / rid
            file = directory / "table" / path
            file.parent.mkdir(parents=True)
            with file.open("w") as out:
                out.write(header)
                out.writelines(line.format(run=rid, n=n) for n in range(rows))
            config = write_config(folder / "daemon", ready, folder / "data")
            start_s = time.monotonic()
            done = command(config, "upload", directory, timeout_s=HOURS_S)
            seconds = time.monotonic() - start_s
            assert done.returncode == 0, done.stderr
            peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
            print(
                f"\n{kind}: {rows} rows in {seconds:.1f} s, {rows / seconds:.0f} rows/s, "
                f"{peaks[-1]:.0f} MiB at most"
            )
        print(f"{kind}: {peaks[1] - peaks[0]:.0f} MiB more than for 1000 rows")
