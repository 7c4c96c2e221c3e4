"""How many moves of files the journal writes in a second, and in a second of CPU time.

Each file takes the steps of an upload, with the facts that the engine gives. `commit` waits for
every request, `submit` for none but the last.
"""

import os
import time
from pathlib import Path

from deriva_watch.core.changes import AddFile, Change, MoveFile
from deriva_watch.core.states import FileTrigger
from deriva_watch.edges.journal import Journal

FILES = int(os.environ.get("BENCH_FILES", "4000"))
TOGETHER = (1, 8, 64)
STAMP = {"size_bytes": 10_240, "mtime_ns": 10**18, "device": 2049, "table": "demo:Image"}
STEPS = {
    FileTrigger.HASHED: {"md5": "0" * 32, "sha256": "1" * 64, "statement": "s" * 40, "names": {}},
    FileTrigger.STORED: {"url": "/hatrac/demo/0123456789:ABCDEFGHIJ", "job": None},
    FileTrigger.RECORDED: {"rid": "1-ABCD", "job": None, "types": ["Image"]},
    FileTrigger.LINKED: {},
}


def test_moves(tmp_path: Path) -> None:
    print(f"\n{FILES} files; requests of so many changes:")
    for size in TOGETHER:
        for is_awaited in (True, False):
            url = f"sqlite:///{tmp_path}/{size}-{is_awaited}.db"
            with Journal.open(url, emit=lambda _: None) as journal:
                count, took_s, cpu_s = _moves(journal, size, is_awaited=is_awaited)
            how = "commit" if is_awaited else "submit"
            print(
                f"{how} {size:3}: {count / took_s:8.0f} moves/s, {count / cpu_s:8.0f} per CPU s,"
                f" {cpu_s / count * 1000:.3f} ms each"
            )


def _moves(journal: Journal, size: int, *, is_awaited: bool) -> tuple[int, float, float]:
    """Return how many moves there were, and the time and CPU time they took."""
    execution = journal.open_execution("example.org/1", "/data", "1-AA")
    files = FILES // 10 if size == 1 and is_awaited else FILES
    new = [
        AddFile(execution.id, f"asset/Image/{i:06}.tif", {**STAMP, "inode": i})
        for i in range(files)
    ]
    cpu_s = time.process_time()
    numbers = [number for part in _parts(new, 2000) for number in journal.commit(part)]
    print(f"    {files / (time.process_time() - cpu_s):8.0f} additions per CPU s", end=" ")
    futures, start_s, cpu_s = [], time.perf_counter(), time.process_time()
    for trigger, facts in STEPS.items():
        for part in _parts(numbers, size):
            changes: list[Change] = [MoveFile(number, trigger, facts, 0.01) for number in part]
            if is_awaited:
                journal.commit(changes)
            else:
                futures.append(journal.submit(changes))
    for future in futures:
        future.result()
    took_s, took_cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
    return len(numbers) * len(STEPS), took_s, took_cpu_s


def _parts(values: list, size: int) -> list[list]:
    return [values[start : start + size] for start in range(0, len(values), size)]
