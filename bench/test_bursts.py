"""How soon after its last write a burst is seen whole, and what watchdog alone sees of it.

`BENCH_FILES` says how many plain files there are, `SHARES` how many of the other kinds to one.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from burst import Burst
from running import Api, daemon, sandbox, write_config

FILES = int(os.environ.get("BENCH_FILES", "100000"))
SHARES = {"plain": 1, "renamed": 0.1, "linked": 0.02, "moved": 0.2}
BURST = Burst(**{kind: int(FILES * share) for kind, share in SHARES.items()})
QUIET_S = 5.0
LONG_S = 900


def test_a_burst(tmp_path: Path) -> None:
    limit = Path("/proc/sys/fs/inotify/max_queued_events").read_text().strip()
    print(f"\n{BURST}, in the kernel's queue at most {limit} events")
    _by_watchdog(tmp_path / "watchdog")
    _by_the_daemon(tmp_path / "ours")


def _by_watchdog(folder: Path) -> None:
    """Watch a folder with everything below, as most programs do."""
    root = folder / "data" / "execution"
    root.parent.mkdir(parents=True)
    ears = _Ears()
    observer = Observer()
    observer.schedule(ears, str(root.parent), recursive=True)
    observer.start()
    names, ended_s = BURST.write(root, folder)
    heard = _wait(lambda: time.time() - ears.last_s > QUIET_S)
    observer.stop()
    missed = sum(str(root / name) not in ears.paths for name in names)
    last_s = ears.last_s - ended_s
    print(f"  watchdog: {missed} of {len(names)} missed, the last seen after {last_s:.1f} s")
    assert heard, "there is no end of events"


def _by_the_daemon(folder: Path) -> None:
    with sandbox(folder / "server") as ready:
        rid = Api(ready).execution("Created")
        config = write_config(
            folder / "daemon", ready, folder / "data", completion={"quiet_s": QUIET_S}
        )
        root = folder / "data" / "deriva-ml" / "execution" / rid
        root.parent.mkdir(parents=True)
        with daemon(config, through=["env"]) as running:
            names, ended_s = BURST.write(root, folder)
            done = running.wait_for_state(rid, "ready", LONG_S)
            lost = [e["why"] for e in running.events() if e["event"] == "watch.lost"]
    verdict = done["verdict"]
    assert verdict["files"] == len(names)
    seen_s, ready_s = (
        _seconds(text) - ended_s for text in (verdict["unchanged_since"], done["time"])
    )
    print(f"  deriva-watch: 0 of {len(names)} missed, all seen by a look that began after")
    print(f"    {seen_s:.1f} s; complete after {ready_s:.1f} s; lost: {lost or 'nothing'}")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class _Ears(FileSystemEventHandler):
    """Keeps what it is told of."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.last_s = time.time()

    def on_any_event(self, event: FileSystemEvent) -> None:
        self.paths |= {str(event.src_path), str(event.dest_path)}
        self.last_s = time.time()


def _wait(condition: Callable[[], bool]) -> bool:
    ends_s = time.monotonic() + LONG_S
    while not condition() and time.monotonic() < ends_s:
        threading.Event().wait(0.1)
    return condition()
