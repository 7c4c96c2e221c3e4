"""A burst of files, as watchdog's observer, ours and the whole daemon see it in one run.

`BENCH_FILES` says how many plain files there are, `SHARES` how many of the other kinds to one.
Of an observer we want that an event comes after the last change, because then a scan finds every
file, and that afterwards every folder is watched, which one more file in 100 of them shows.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyObserver

from deriva_watch.edges.watching.observer import Observer
from deriva_watch.edges.watching.tree import Tree

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from burst import Burst, seen_by_a_daemon

FILES = int(os.environ.get("BENCH_FILES", "100000"))
SHARES = {"plain": 1, "renamed": 0.1, "linked": 0.02, "moved": 0.2}
BURST = Burst(**{kind: int(FILES * share) for kind, share in SHARES.items()})
FILTER = [FileCreatedEvent, FileClosedEvent, FileMovedEvent, DirCreatedEvent, DirMovedEvent]
QUIET_S = 5.0
LATE_S = 3.0
LONG_S = 900


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of watchdog's, or they end its thread
def test_a_burst(tmp_path: Path) -> None:
    limit = Path("/proc/sys/fs/inotify/max_queued_events").read_text().strip()
    print(f"\n{BURST}, in the kernel's queue at most {limit} events")
    _by_an_observer("InotifyObserver of watchdog", tmp_path / "stock", _stock)
    _by_an_observer("InotifyObserver, filtered", tmp_path / "filtered", _filtered)
    _by_an_observer("our observer", tmp_path / "ours", _ours)
    _by_the_daemon(tmp_path / "daemon")


class _Ears(FileSystemEventHandler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.count = 0
        self.last_s = time.time()

    def on_any_event(self, event: FileSystemEvent) -> None:
        self.paths |= {str(event.src_path), str(event.dest_path)}
        self.hint()

    def hint(self, *_: object) -> None:
        self.count += 1
        self.last_s = time.time()


@contextmanager
def _stock(folder: Path, ears: _Ears, events: list | None = None) -> Iterator[None]:
    with InotifyObserver() as observer:
        observer.schedule(ears, str(folder), recursive=True, event_filter=events)
        yield


def _filtered(folder: Path, ears: _Ears):
    return _stock(folder, ears, FILTER)


@contextmanager
def _ours(folder: Path, ears: _Ears) -> Iterator[None]:
    observer = Observer(ears.hint)
    observer.watches.add(Tree(folder, str(folder), "all"))
    yield
    observer.close()


def _by_an_observer(what: str, folder: Path, observe: Callable) -> None:
    root = folder / "data" / "execution"
    root.parent.mkdir(parents=True)
    ears, before_s = _Ears(), time.process_time()
    with observe(root.parent, ears):
        names, ended_s = BURST.write(root, folder)
        heard = _wait(lambda: time.time() - ears.last_s > QUIET_S)
        cpu_s, last_s, events = time.process_time() - before_s, ears.last_s, ears.count
        newer = sum((root / name).lstat().st_ctime > last_s for name in names)
        print(f"  {what}: the last of {events:,} events {last_s - ended_s:+.1f} s after the end,")
        print(f"    {newer} of {len(names)} files are newer; {cpu_s:.1f} s of CPU")
        if ears.paths:
            unnamed = sum(str(root / name) not in ears.paths for name in names)
            print(f"    no event names {unnamed} of {len(names)} files")
        folders = [path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()]
        some = folders[:: max(1, len(folders) // 100)]
        unwatched = sum(not _tells(ears, path / "late") for path in some)
        print(f"    {unwatched} of {len(some)} folders are not watched afterwards")
    assert heard, "there is no end of events"


def _tells(ears: _Ears, path: Path) -> bool:
    before = ears.count
    path.touch()
    return _wait(lambda: ears.count > before, LATE_S)


def _by_the_daemon(folder: Path) -> None:
    seen = seen_by_a_daemon(BURST, folder, QUIET_S, LONG_S)
    verdict = seen.ready["verdict"]
    assert verdict["files"] == len(seen.names)
    seen_s, ready_s = (
        datetime.fromisoformat(text).timestamp() - seen.ended_s
        for text in (verdict["unchanged_since"], seen.ready["time"])
    )
    lost = [event["why"] for event in seen.events if event["event"] == "watch.lost"]
    print(f"  deriva-watch: 0 of {len(seen.names)} missed, all seen by a look that began after")
    print(f"    {seen_s:.1f} s; complete after {ready_s:.1f} s; lost: {lost or 'nothing'}")


def _wait(condition: Callable[[], bool], timeout_s: float = LONG_S) -> bool:
    ends_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < ends_s:
        threading.Event().wait(0.001)
    return condition()
