"""What a daemon costs that has nothing to do: `pytest -s bench/test_idle.py`.

The executions are finished: the journal is written directly, as an upload would have left it.
`BENCH_FILES` says how many files they have, `BENCH_IDLE_S` how long it is watched.
"""

import os
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from deriva_watch.core.records import AddFile, MoveExecution, MoveFile
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import load
from running import Api, daemon, sandbox, write_config

FILES = int(os.environ.get("BENCH_FILES", "100000"))
IDLE_S = float(os.environ.get("BENCH_IDLE_S", "240"))
FILES_EACH = 100
WAY = [ExecutionTrigger.COMPLETED, ExecutionTrigger.CLAIMED, ExecutionTrigger.FINISHED]
FILE_WAY = [FileTrigger.HASHED, FileTrigger.STORED, FileTrigger.RECORDED, FileTrigger.LINKED]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def finish(config, prefix, rid):
    """Make an execution directory, and write into the journal that it is uploaded."""
    folder = prefix / "deriva-ml" / "execution" / rid / "assets" / "Execution_Asset"
    folder.mkdir(parents=True)
    for number in range(FILES_EACH):
        (folder / f"{number}.bin").write_bytes(b"x")
    settings = load(config)
    return UnitReader.of(settings).look(settings.unit(prefix, rid))


def write_down(journal, server, prefix, rid, seen):
    """Say in the journal that all of it is uploaded."""
    record = journal.open_execution(server, str(prefix), rid)
    files = journal.commit(
        [
            AddFile(record.id, path, {"size_bytes": entry.size_bytes, "mtime_ns": entry.mtime_ns})
            for path, entry in seen.entries.items()
        ]
    )
    journal.commit([MoveFile(file, trigger) for trigger in FILE_WAY for file in files])
    journal.commit([MoveExecution(record.id, trigger) for trigger in WAY[:-1]])
    journal.commit([MoveExecution(record.id, WAY[-1], {"digest": seen.digest()})])


def cpu_s(pid):
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def peak_mib(pid):
    """Return the largest resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@pytest.mark.parametrize("observer", ["native", "polling"])
def test_an_idle_daemon(tmp_path, observer):
    with sandbox(tmp_path / "server") as ready:
        prefix = tmp_path / "data"
        config = write_config(tmp_path / "daemon", ready, prefix, completion={"quiet_s": 30})
        settings = load(config)
        server = f"{settings.server.host}/{settings.server.catalog}"
        rids = [Api(ready).execution("Uploaded")]
        rids += [f"9-{number:04X}" for number in range(FILES // FILES_EACH - 1)]
        with Journal.open(settings.journal.url, emit=lambda _event: None) as journal:
            for rid in rids:
                write_down(journal, server, prefix, rid, finish(config, prefix, rid))
        text = config.read_text().replace("[[watch]]\n", f'[[watch]]\nobserver = "{observer}"\n')
        config.write_text(text)
        with daemon(config, through=["env"]) as running:  # its own memory alone
            marks = []
            begun_s = time.monotonic()
            while time.monotonic() - begun_s < IDLE_S:
                time.sleep(min(60.0, IDLE_S))
                marks.append((time.monotonic() - begun_s, cpu_s(running.pid)))
            print(f"\n{observer}, {FILES} files in {len(rids)} executions:")
            for (from_s, used_s), (to_s, now_s) in zip([(0.0, 0.0), *marks], marks, strict=False):
                share = 100 * (now_s - used_s) / (to_s - from_s)
                print(f"  {from_s:4.0f} to {to_s:4.0f} s: {share:5.2f} % of one core")
            print(f"  {peak_mib(running.pid):.0f} MiB at most")
            moved = {e["event"] for e in running.events()} - {"daemon.started", "root.watched"}
            assert not moved, moved
