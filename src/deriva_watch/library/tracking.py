"""The progress of an upload, from the reports of the engine."""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deriva_watch.core.chunks import chunk_count
from deriva_watch.core.events import Event, ExecutionChanged, FileChanged
from deriva_watch.core.plan.plan import Plan
from deriva_watch.core.records import FileRecord
from deriva_watch.core.states import FileState
from deriva_watch.library.background import LOG, Report
from deriva_watch.library.progress import UploadProgress

IN: Final = frozenset({FileState.LINKED, FileState.ELSEWHERE})
_Key = tuple[Path, str]  # root of the part, path below it


@dataclass(frozen=True, slots=True)
class Planned:
    """The files of a part, with their sizes in bytes, and those already in the catalog."""

    root: Path
    sizes: dict[str, int]
    done: frozenset[str]

    @classmethod
    def of(cls, root: Path, plan: Plan, known: Iterable[FileRecord]) -> "Planned":
        """Return the files that a plan takes; *known* are those with a record in the journal."""
        there = {r.path: (r.stamp, r.statement) for r in known if r.state in IN}
        done = [a.path for a in plan.work if there.get(a.path) == (a.entry.stamp, a.statement())]
        sizes = {asset.path: asset.entry.size_bytes for asset in plan.work}
        return cls(root, sizes, frozenset(done))


@dataclass(frozen=True, slots=True)
class Begun:
    """A part whose files the next events are about."""

    root: Path


@dataclass(frozen=True, slots=True)
class Sent:
    """So many bytes of a file were sent; 0: it starts."""

    root: Path
    path: str
    size_bytes: int


class Meter:
    """Counts bytes in the threads that send them; reports each full chunk."""

    def __init__(self, report: Report, chunk_bytes: int) -> None:
        self.root = Path()
        self._report, self._chunk_bytes = report, chunk_bytes
        self._sent: dict[_Key, int] = {}
        self._lock = threading.Lock()

    def __call__(self, path: str, phase: str, count: int) -> None:
        """Take *count* more bytes of a file, as `engine.files.Watch`."""
        if phase != "send":
            return
        key = (self.root, path)
        with self._lock:
            before = self._sent.get(key)
            self._sent[key] = after = (before or 0) + count
        if before is None:
            self._report(Sent(self.root, path, 0))
        if (before or 0) // self._chunk_bytes < after // self._chunk_bytes:
            self._report(Sent(self.root, path, after))


@dataclass(slots=True)
class Tracker:
    """Turns reports into progress, and events into log lines; runs in the caller's thread."""

    show: Callable[[UploadProgress], None]
    chunk_bytes: int
    _root: Path = Path()
    _sizes: dict[_Key, int] = field(default_factory=dict)
    _begun: set[_Key] = field(default_factory=set)
    _done: set[_Key] = field(default_factory=set)

    def handle(self, report: Any) -> None:
        """Handle one report."""
        if isinstance(report, UploadProgress):
            LOG.warning("%s", report.message)
            self.show(report)
        elif isinstance(report, Planned):
            self._sizes |= {(report.root, path): size for path, size in report.sizes.items()}
            self._done |= {(report.root, path) for path in report.done}
            self._begun |= self._done
            if report.done:
                text = f"{len(self._done)} of {len(self._sizes)} files are already in the catalog"
                percent = len(self._done) / len(self._sizes) * 100
                self.show(UploadProgress(phase="uploading", message=text, percent_complete=percent))
        elif isinstance(report, Begun):
            self._root = report.root
        elif isinstance(report, Sent):
            self._sent((report.root, report.path), report.size_bytes)
        elif isinstance(report, FileChanged):
            self._moved((self._root, report.path), report.state)
        if isinstance(report, Event):
            _log(report)

    def _sent(self, key: _Key, size_bytes: int) -> None:
        total = self._sizes.get(key, 0)
        if size_bytes == 0:
            self._begin(key)
        elif total > self.chunk_bytes:
            sent, chunks = min(size_bytes, total), chunk_count(self.chunk_bytes, total)
            number = chunks if sent == total else sent // self.chunk_bytes
            self._show(
                key,
                "uploading_chunks",
                f"Uploading large file: chunk {number} of {chunks}",
                bytes_completed=sent,
                bytes_total=total,
                percent_complete=sent / total * 100,
            )

    def _moved(self, key: _Key, state: FileState) -> None:
        if key not in self._sizes or key in self._done:
            return
        if state in IN:
            self._begun.add(key)
            self._done.add(key)
            number, count = len(self._done), len(self._sizes)
            self._show_all_files(key, f"Uploaded file {number} of {count}", self._sizes[key])

    def _begin(self, key: _Key) -> None:
        if key in self._sizes and key not in self._begun:
            self._begun.add(key)
            number, count = len(self._begun), len(self._sizes)
            self._show_all_files(key, f"Uploading file {number} of {count}", 0)

    def _show_all_files(self, key: _Key, message: str, size_bytes: int) -> None:
        self._show(
            key,
            "uploading",
            message,
            bytes_completed=size_bytes,
            bytes_total=self._sizes[key],
            percent_complete=len(self._done) / len(self._sizes) * 100,
        )

    def _show(self, key: _Key, phase: str, message: str, **figures: Any) -> None:
        file = key[0] / key[1]
        self.show(UploadProgress(str(file), file.name, phase=phase, message=message, **figures))


def _log(event: Event) -> None:
    # The result or the exception has files and executions: here they are for debugging.
    level = "debug" if isinstance(event, FileChanged | ExecutionChanged) else event.level
    LOG.log(logging.getLevelNamesMapping()[level.upper()], "%s %s", event.name, event.values())
