"""What a look at how things stand costs where a million files are in.

`BENCH_STATUS_FILES` says how many files there are, a thousandth of them in each execution.
"""

import os
import statistics
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from deriva_watch.edges.journal import Journal
from deriva_watch.edges.journal.database.sqlite import writer_engine
from deriva_watch.edges.journal.schema import execution, file, file_count, history
from deriva_watch.status import open_views, summary

FILES = int(os.environ.get("BENCH_STATUS_FILES", "1000000"))
EXECUTIONS = 1000
EACH = FILES // EXECUTIONS
NOW = datetime.now(UTC)
STATES = ("found", "hashed", "stored", "recorded", "linked")


def test_a_look_at_a_million_files(tmp_path):
    url = f"sqlite:///{tmp_path}/journal.db"
    Journal.open(url, emit=lambda _: None).close()
    writer = writer_engine(tmp_path / "journal.db")
    with Journal.open(url, emit=lambda _: None) as journal:
        for number in range(1, EXECUTIONS + 1):
            fill(writer, number, uploaded=number < EXECUTIONS - 2)
        size_bytes = journal.path.stat().st_size
        print(f"\n{FILES} files in {EXECUTIONS} executions, a journal of {size_bytes >> 20} MiB")
        tell("the daemon itself", lambda: summary(journal, NOW))
        tell("another process", lambda: summary(open_views(url), NOW))


def fill(engine, number, *, uploaded):
    """Write an execution and its history as they are a minute ago, by days further back."""
    at = NOW - timedelta(seconds=30 + 600 * (EXECUTIONS - number))
    state = "uploaded" if uploaded else "uploading"
    with engine.begin() as connection:
        connection.execute(
            insert(execution),
            {
                "prefix": "/data",
                "rid": f"1-{number:04}",
                "server": "example.org/1",
                "state": state,
                "changed_at": at,
                "attempts": 0,
                "ours": False,
            },
        )
        moves = ["filling", "ready", "uploading", *(["uploaded"] if uploaded else [])]
        lines = [line(number, None, at, after) for after in moves]
        first = (number - 1) * EACH + 1
        rows = [
            {
                "id": first + i,
                "execution_id": number,
                "path": f"{i:06}.tif",
                "adopted": False,
                "state": "linked",
                "changed_at": at,
                "size_bytes": 2**20,
                "mtime_ns": 0,
                "device": 1,
                "inode": first + i,
                "md5": "0" * 32,
                "sha256": "0" * 64,
                "table": "s:Image",
                "url": f"/hatrac/{first + i}",
                "rid": f"2-{first + i}",
            }
            for i in range(EACH)
        ]
        lines += [line(number, row["id"], at, after) for row in rows for after in STATES]
        counts = {"execution_id": number, "state": "linked", "files": EACH}
        connection.execute(insert(file), rows)
        connection.execute(insert(history), lines)
        connection.execute(insert(file_count), {**counts, "bytes": EACH * 2**20})


def line(number, file_id, at, after):
    detail = {"md5": "0" * 32, "seconds": 0.5}
    moved = {"at": at, "trigger": after, "before": None, "after": after, "detail": detail}
    return {"execution_id": number, "file_id": file_id, **moved}


def tell(what, act, times=20):
    """Say how long an act takes, and how much of a processor."""
    act()
    took_ms, cpu_s = [], time.process_time()
    for _ in range(times):
        start_s = time.perf_counter()
        act()
        took_ms.append(1000 * (time.perf_counter() - start_s))
    cpu_ms = 1000 * (time.process_time() - cpu_s) / times
    print(f"  {what}: {statistics.median(took_ms):.0f} ms, {cpu_ms:.0f} ms of CPU")
