"""Reads uploaded files again whose change time alone moved.

Size and modification time of a file can be set back after an edit; its change time cannot. But it
also moves with every link, mode and rename, so that alone proves nothing: the bytes are read
again, at idle priority, and only other bytes are a change.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deriva_watch.core.changes import Change, MoveExecution, MoveFile, NoteExecution, NoteFile
from deriva_watch.core.completeness.observation import Entry, Kind, Observation, Stamp
from deriva_watch.core.errors import FileChangedError, RefusedError, TransientError
from deriva_watch.core.events import Emit, NoticeAdded
from deriva_watch.core.names import CONTENT_PATH
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord, FileRecord
from deriva_watch.core.states import ExecutionTrigger, FileState, FileTrigger
from deriva_watch.core.unit import Unit
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.content import Digests
from deriva_watch.liveness import beat, begin, end, waiting
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.watch.prehash_process import HashProcess

_IN_CATALOG: Final = {FileState.RECORDED, FileState.LINKED, FileState.ELSEWHERE}
_IDLE_S: Final = 30.0  # the process that hashes ends after this long without work
_TOGETHER_S: Final = 30.0  # a look at a large unit takes a while: it compares many files at once
_Key = tuple[int, Stamp, int]  # number of the file, its stamp, its change time


def latest_change_ns(seen: Observation) -> int:
    """Return the latest change time of the files of a look."""
    return max((entry.ctime_ns for entry in seen.entries.values()), default=0)


@dataclass(slots=True)
class Rereader:
    """Finds files whose change time alone moved, and compares their bytes with the upload.

    Attributes:
        journal: Knows the digests.
        unit_reader: Opens the files.
        again: Called with a unit of which a file was read, so that it is looked at.
        emit: Where a notice goes, once, if files cannot be read again.
        hangs_at: Whether a folder is in a root that does not answer: it is left alone.
    """

    journal: Journal
    unit_reader: UnitReader
    again: Callable[[Unit], None]
    emit: Emit
    hangs_at: Callable[[Path], bool] = lambda _folder: False
    _jobs: "queue.SimpleQueue[tuple[_Key, Unit, Entry] | None]" = field(
        default_factory=queue.SimpleQueue
    )
    _read: dict[_Key, Digests | None] = field(default_factory=dict)  # None: not yet
    _process: HashProcess = field(default_factory=HashProcess)
    _thread: threading.Thread | None = None
    _units: set[Unit] = field(default_factory=set)  # of files that were read
    _told_s: float = 0.0
    _over: bool = False
    _told: bool = False

    def start(self) -> None:
        """Start the thread that reads; one that is left behind ends once its root answers."""
        self._over = False
        self._process = HashProcess()
        self._thread = threading.Thread(target=self._work, name="rereader", daemon=True)
        self._thread.start()

    def end(self, within_s: float) -> None:
        """Stop at once; what was not compared yet is read again after the next start."""
        self._over = True
        self._jobs.put(None)
        if self._thread:
            self._thread.join(within_s)

    # ------------------------------------------------------------------ what follows from a look

    def consider(self, unit: Unit, record: ExecutionRecord, seen: Observation) -> ExecutionRecord:
        """Compare a look at a finished unit with what was uploaded; return the unit as it is then.

        Files whose change time alone moved are queued; `again` is called once they are read. Then
        other bytes reopen the unit.
        """
        latest_ns = latest_change_ns(seen)
        if latest_ns == record.checked_ns:
            return record
        known: list[Change] = []
        changed: list[FileRecord] = []
        is_open = False
        for file in self.journal.files(record.id):
            entry = seen.entries.get(file.path)
            if entry is None or not _is_suspect(file, entry):
                continue
            match self._is_same(unit, file, entry):
                case None:
                    is_open = True
                case True:
                    known.append(NoteFile(file.id, {"ctime_ns": entry.ctime_ns}))
                case False:
                    changed.append(file)
        if changed:
            known += _reopen(record, changed)
        elif not is_open:
            known.append(NoteExecution(record.id, {"checked_ns": latest_ns}))
        if known:
            self.journal.commit(known)
        return self.journal.execution(record.id)

    def _is_same(self, unit: Unit, file: FileRecord, entry: Entry) -> bool | None:
        """Return whether the bytes are those that were uploaded; None: they must be read first."""
        if CONTENT_PATH in (file.names or {}):
            return False  # the digests are of what a processor made of it: that must be made again
        key = (file.id, entry.stamp, entry.ctime_ns)
        if key not in self._read:
            self._read[key] = None
            self._jobs.put((key, unit, entry))
        if found := self._read[key]:
            del self._read[key]
            return (found.md5, found.sha256) == (file.md5, file.sha256)
        return None

    # ------------------------------------------------------------------ the thread

    def _work(self) -> None:
        begin()
        process = self._process
        try:
            while not self._over and self._thread is threading.current_thread():
                with waiting():
                    job = self._wait(process)
                if job and self.hangs_at(job[1].prefix):
                    self._read.pop(job[0], None)  # the next look at it asks again
                elif job:
                    beat()
                    self._do(*job, process)
        finally:
            process.close()
        end()

    def _wait(self, process: HashProcess) -> tuple[_Key, Unit, Entry] | None:
        try:
            return self._jobs.get(timeout=_IDLE_S)
        except queue.Empty:
            process.close()
            return self._jobs.get()

    def _do(self, key: _Key, unit: Unit, entry: Entry, process: HashProcess) -> None:
        disk, found = self.unit_reader.directory(unit), None
        try:
            with disk.open(entry) as body:
                found = process.digests(body, lambda: not self._over)
            disk.verify(entry)
        except (FileChangedError, FileNotFoundError, RefusedError, TransientError):
            found = None  # the next look at it decides
        except OSError as error:
            self._tell(unit, f"it failed: {error}")
        if process.problem:
            self._tell(unit, f"it has no idle priority: {process.problem}")
        if found:
            self._read[key] = found
            self._units.add(unit)
        else:
            self._read.pop(key, None)
        if self._jobs.empty() or time.monotonic() > self._told_s + _TOGETHER_S:
            self._told_s = time.monotonic()
            while self._units:
                self.again(self._units.pop())

    def _tell(self, unit: Unit, why: str) -> None:
        if not self._told:
            self._told = True
            about = "reading uploaded files again whose change time moved"
            self.emit(NoticeAdded(execution=unit.name, about=about, why=why))


def _is_suspect(file: FileRecord, entry: Entry) -> bool:
    return (
        file.state in _IN_CATALOG
        and file.md5 is not None
        and entry.kind is Kind.CONTENT
        and entry.stamp == file.stamp
        and file.ctime_ns not in {None, entry.ctime_ns}
    )


def _reopen(record: ExecutionRecord, changed: list[FileRecord]) -> list[Change]:
    """Return the changes by which files with other bytes are uploaded again."""
    why = "its bytes have changed, although its size and modification time have not"
    then = "Nothing to do: it is uploaded again."
    moved: list[Change] = [
        MoveFile(
            file.id,
            FileTrigger.CHANGED,
            {"what": f"{file.path} has changed", "why": why, "next": then},
        )
        for file in changed
    ]
    what = f"{len(changed)} files of {record.label} have changed since they were uploaded"
    facts: ExecutionFacts = {
        "what": what,
        "why": f"{changed[0].path}: {why}",
        "next": then,
        "digest": None,
    }
    return [*moved, MoveExecution(record.id, ExecutionTrigger.CHANGED, facts)]
