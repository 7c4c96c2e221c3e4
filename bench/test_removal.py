"""What it costs to remove files: read again, asked for again, deleted; and their upload beside it.

`BENCH_FILES` says how many small ones there are.
"""

import os
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from deriva_watch.cleanup.policy import reclaim_policy
from deriva_watch.cleanup.remover import TOGETHER, Remover
from deriva_watch.core.removal.removal import Removable
from engine.rig import Lab
from running import sandbox

FILES = int(os.environ.get("BENCH_FILES", "2000"))


def test_small_and_large_files(tmp_path: Path) -> None:
    print()
    with sandbox(tmp_path / "server") as ready:
        for count, size_bytes in ((FILES, 10_000), (4, 200_000_000)):
            _remove(Lab(tmp_path / str(size_bytes), ready), count, size_bytes)


def _remove(lab: Lab, count: int, size_bytes: int) -> None:
    names = [f"execution-asset/Model_File/{number}" for number in range(count)]
    root = lab.write({name: os.urandom(size_bytes) for name in names})
    with lab.rigged(chunk_bytes=25_000_000) as rig:
        sent_s = _seconds(rig.upload)
        [unit] = rig.journal.executions(rid=lab.rid)
        check, reader = rig.parts.server_check, rig.parts.unit_reader
        remover = Remover(rig.journal, rig.catalog, check, reader, rig.events.append, rig.stop)
        removable = [Removable(file, file.path) for file in rig.journal.files(unit.id)]
        policy = reclaim_policy(unit)
        before, cpu_s = len(rig.power.names), time.process_time()

        def remove() -> None:
            seen = reader.look(rig.settings.unit_of(unit))
            for start in range(0, count, TOGETHER):
                seen = remover.remove(unit, policy, removable[start : start + TOGETHER], seen).seen

        took_s = _seconds(remove)
        cpu_s = time.process_time() - cpu_s
        calls = len(rig.power.names) - before
    assert not (root / "execution-asset").exists()
    print(
        f"  {count} files of {size_bytes:,} bytes: uploaded in {sent_s:.1f} s, removed in "
        f"{took_s:.1f} s ({1000 * took_s / count:.1f} ms each, {1000 * cpu_s / count:.1f} ms of "
        f"CPU, {calls / count:.2f} calls)"
    )


def _seconds(work) -> float:
    start_s = time.monotonic()
    work()
    return time.monotonic() - start_s
