"""The largest memory of a daemon while it uploads one execution of many files.

`BENCH_COUNTS` says how many files. Pages that processes share count once. The limits of memory in
`systemd/`, and the default of `[files] max_files`, come from here.
"""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from running import Api, daemon, directory, sandbox, write_config

COUNTS = os.environ.get("BENCH_COUNTS", "1,10000,50000,100000")
FILE_BYTES = 1000
LONG_S = 3600


@pytest.mark.parametrize("count", [int(count) for count in COUNTS.split(",")])
def test_memory_of_a_large_execution(tmp_path: Path, count: int) -> None:
    with sandbox(tmp_path / "server") as ready:
        prefix = tmp_path / "data"
        config = write_config(tmp_path / "daemon", ready, prefix)
        rid = Api(ready).execution()
        folder = directory(prefix, rid) / "assets" / "Execution_Asset"
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"{number:06}.bin").write_bytes(f"{number:0{FILE_BYTES}}".encode())
        start_s, peak_bytes, is_over = time.monotonic(), 0, False
        with daemon(config, through=["env"]) as running:
            while not is_over:
                assert time.monotonic() - start_s < LONG_S
                peak_bytes = max(peak_bytes, sum(map(_bytes, _family(running.pid))))
                is_over = any(event["event"] == "execution.uploaded" for event in running.events())
                time.sleep(0.3)
    took_s = time.monotonic() - start_s
    print(f"\n{count:7} files: {peak_bytes / 1024**2:5.0f} MiB at most, {took_s:4.0f} s")


def _family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(child))]


def _bytes(pid: int) -> int:
    """Return the memory of a process, with its share of what it shares."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
