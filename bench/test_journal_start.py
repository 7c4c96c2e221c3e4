"""How long a daemon takes to start on a journal of finished files, its memory, and the file's size.

`BENCH_FILES` says how many files there are, `BENCH_FILES_EACH` how many an execution has. One
execution takes every step of an upload; the others are copies of its rows. "Cold" means that no
page of the journal is in memory; after a kill the whole journal is checked.
"""

import os
import re
import sqlite3
import sys
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.edges.journal import Journal, pruning
from deriva_watch.settings.model import Settings, load
from running import Api, Manager, daemon, sandbox, wait_until, write_config

FILES = int(os.environ.get("BENCH_FILES", "1000000"))
FILES_EACH = int(os.environ.get("BENCH_FILES_EACH", "100"))
MIB = 1024**2
STEPS = {
    FileTrigger.HASHED: {"md5": "0" * 32, "sha256": "1" * 64, "statement": "s" * 40},
    FileTrigger.STORED: {"url": "/hatrac/Image/0123456789abcdef0123456789abcdef.tif:ABCDEFGHIJKLM"},
    FileTrigger.RECORDED: {"rid": "1-ABCD", "types": ["Image", "Input_File"]},
    FileTrigger.LINKED: {},
}
VERDICT = {"rules": ["quiet", "status"], "quiet_s": 30.0, "newest": "2026-03-01T12:00:00+00:00"}
COPIES = {  # of execution 1, for each number n of another one
    "execution": {"id": "n", "rid": "'9-' || n"},
    "file": {
        "id": "(n - 1) * :each + id",
        "execution_id": "n",
        "url": "url || n || '-' || id",
        "rid": "n || '-' || id",
        "inode": "n * :each + id",
    },
    "file_count": {"execution_id": "n"},
    "history": {
        "id": "(n - 1) * :lines + id",
        "execution_id": "n",
        "file_id": "CASE WHEN file_id IS NOT NULL THEN (n - 1) * :each + file_id END",
    },
}


def test_a_start_with_many_finished_files(tmp_path: Path) -> None:
    with sandbox(tmp_path / "server") as ready:
        prefix = tmp_path / "data"
        config = write_config(tmp_path / "daemon", ready, prefix)
        rid = Api(ready).execution("Uploaded")
        journal = _filled(load(config), prefix, rid)
        size_bytes = journal.stat().st_size
        print(f"\n{FILES} files in {FILES // FILES_EACH} executions: {size_bytes / MIB:.0f} MiB,")
        print(f"{size_bytes / FILES:.0f} bytes a file")
        for number in range(FILES // FILES_EACH):
            name = rid if number == 0 else f"9-{number + 1}"
            (prefix / "deriva-ml" / "execution" / name).mkdir(parents=True)
        _start(config, tmp_path / "first.sock")  # it checks what we wrote
        for how in ("warm", "cold", "killed", "cold and killed"):
            if "killed" in how:
                with daemon(config, through=["env"]):
                    pass
            if "cold" in how:
                _forget(journal)
            took_s, peak_bytes = _start(config, tmp_path / f"{how}.sock")
            print(f"{how:16}: ready after {took_s:5.2f} s, {peak_bytes / MIB:4.0f} MiB at most")


def test_pruning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free afterwards is used by what comes next."""
    ready = {"host": "localhost", "catalog": "1", "owner_credential_file": "/nonexistent"}
    prefix = tmp_path / "data"
    path = _filled(load(write_config(tmp_path / "daemon", ready, prefix)), prefix, "1-AA")
    before = _sizes(path)
    steps: list[float] = []
    step, rest = pruning.Pruning.step, pruning.Pruning.rest
    is_over = threading.Event()

    def timed(self: pruning.Pruning, *arguments: object) -> None:
        start_s = time.perf_counter()
        step(self, *arguments)
        steps.append(time.perf_counter() - start_s)

    def over(self: pruning.Pruning) -> None:
        rest(self)
        is_over.set()

    monkeypatch.setattr(pruning, "FIRST_S", 0.0)
    monkeypatch.setattr(pruning, "STEP_S", 0.0)
    monkeypatch.setattr(pruning.Pruning, "step", timed)
    monkeypatch.setattr(pruning.Pruning, "rest", over)
    keep, cpu_s = timedelta(microseconds=1), time.process_time()
    with Journal.open(f"sqlite:///{path}", emit=lambda _: None, keep_history=keep):
        assert is_over.wait(3600)
    cpu_s = time.process_time() - cpu_s
    steps.sort()
    print(f"\npruned in {len(steps)} steps and {cpu_s:.0f} CPU s: half of the steps took at most")
    print(f"{steps[len(steps) // 2] * 1000:.0f} ms, the longest {steps[-1] * 1000:.0f} ms")
    for name, (lines, used_bytes) in {"before": before, "after": _sizes(path)}.items():
        print(f"{name}: {lines} lines of history, {used_bytes / FILES:.0f} bytes a file in use")


def _filled(settings: Settings, prefix: Path, rid: str) -> Path:
    """Write the journal and return its file."""
    server = f"{settings.server.host}/{settings.server.catalog}"
    with Journal.open(settings.journal.url, emit=lambda _: None) as journal:
        new = journal.open_execution(server, str(prefix), rid)
        stamp = {"size_bytes": 10_240, "mtime_ns": 10**18, "device": 2049, "table": "demo:Image"}
        files = journal.commit(
            [
                AddFile(new.id, f"assets/Image/image-{i:06}.tif", {**stamp, "inode": i})
                for i in range(FILES_EACH)
            ]
        )
        facts = {"verdict": VERDICT, "digest": "d" * 64}
        journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED, facts)])
        journal.claim()
        for trigger, said in STEPS.items():
            journal.commit([MoveFile(number, trigger, said, 0.01) for number in files])
        journal.commit([MoveExecution(new.id, ExecutionTrigger.FINISHED, facts)])
        lines = len(journal.history(new.id))
        path = journal.path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        numbers = {"each": FILES_EACH, "lines": lines}
        for n in range(2, FILES // FILES_EACH + 1):
            for table, changed in COPIES.items():
                names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                values = ", ".join(changed.get(name, f'"{name}"') for name in names)
                first = "id" if table == "execution" else "execution_id"
                copied = f"INSERT INTO {table} SELECT {values} FROM {table} WHERE {first} = 1"
                connection.execute(re.sub(r"\bn\b", ":n", copied), {**numbers, "n": n})
        connection.commit()
    return path


def _sizes(path: Path) -> tuple[int, int]:
    """Return how many lines of history there are, and how many bytes are in use."""
    with closing(sqlite3.connect(path)) as connection:
        [(lines,)] = connection.execute("SELECT count(*) FROM history")
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    return lines, (pages - free) * size


def _forget(path: Path) -> None:
    """Let the kernel drop the pages of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _start(config: Path, address: Path) -> tuple[float, int]:
    """Start a daemon; return when it was ready, and its largest memory until then."""
    manager, start_s = Manager(address), time.perf_counter()
    environment = {**os.environ, "NOTIFY_SOCKET": str(address)}
    with daemon(config, wait=False, through=["env"], environment=environment) as running:
        wait_until(lambda: manager.has_heard("READY=1"), 600)
        took_s = time.perf_counter() - start_s
        lines = Path(f"/proc/{running.pid}/status").read_text().splitlines()
        peak_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        running.stop()
    return took_s, peak_kib * 1024
