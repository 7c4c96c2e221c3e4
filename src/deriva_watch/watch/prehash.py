"""Hashes files while their unit is still filling, so that the upload need not read them twice.

Then the first byte is sent as soon as the unit is complete. Only files that are closed and have
been unchanged for a while are read; one that changes later is read again. A digest counts for the
stamp that it was taken with, and stays in the journal until it has been used.
"""

import heapq
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from deriva_watch.core.changes import KeepDigest
from deriva_watch.core.completeness.observation import Entry, Kind, Observation, Stamp
from deriva_watch.core.errors import FileChangedError, RefusedError, TransientError
from deriva_watch.core.events import Emit, NoticeAdded
from deriva_watch.core.records import ContentDigest, ExecutionRecord
from deriva_watch.edges.disk.open_files import holders
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.content import Digests
from deriva_watch.engine.ports import Disk
from deriva_watch.liveness import beat, begin, depending_on, end, waiting
from deriva_watch.watch.prehash_process import HashProcess

STABLE_S: Final = 5.0  # longer than a tick of any file system's clock
_PATIENCE_S: Final = 3600.0  # a file that keeps changing is read at most once an hour
_FILES: Final = 20_000  # per unit, the largest ones: this bounds the memory used
_TOGETHER: Final = 100  # files whose open state is asked together
_KEEP_S: Final = 1.0  # how often digests are written into the journal
_IDLE_S: Final = 30.0  # the process that hashes ends after this long without work
_NO_EXECUTION: Final = 0  # of a file that is in no batch yet


@dataclass(slots=True, eq=False)
class _File:
    """What looks have found out about a file."""

    entry: Entry
    since: datetime
    wait_s: float
    asked: bool = False  # it is queued, or its digests are known

    @property
    def due(self) -> datetime:
        return self.since + timedelta(seconds=self.wait_s)


_Group = int | Path  # the number of an execution, or a drop folder whose files no batch has yet


@dataclass(frozen=True, slots=True)
class _Job:
    group: _Group
    disk: Disk
    file: _File


@dataclass(slots=True)
class Prehash:
    """Decides which files to hash ahead of the upload, and hashes them one after the other.

    Attributes:
        journal: Keeps the digests.
        emit: Where a notice goes, once, if hashing fails or has no idle priority.
        stable_s: How long a file must have been found unchanged.
        hangs_at: Whether a folder is in a root that does not answer: it is left alone.
    """

    journal: Journal
    emit: Emit
    stable_s: float = STABLE_S
    hangs_at: Callable[[Path], bool] = lambda _folder: False
    _files: dict[_Group, dict[tuple[int, int], _File]] = field(default_factory=dict)
    _loose: dict[Path, dict[Stamp, ContentDigest]] = field(default_factory=dict)
    _jobs: "queue.SimpleQueue[_Job | None]" = field(default_factory=queue.SimpleQueue)
    _found: list[KeepDigest] = field(default_factory=list)
    _process: HashProcess = field(default_factory=HashProcess)
    _thread: threading.Thread | None = None
    _over: bool = False
    _told: bool = False
    _kept_s: float = 0.0

    def start(self, guard: Callable[[Callable[[], None]], None]) -> None:
        """Begin; *guard* runs a piece of work, and waits while the journal cannot be written.

        A thread that is left behind at a root that hangs ends once that answers.
        """
        self._over = False
        self._process = HashProcess()
        self._thread = threading.Thread(
            target=self._work, args=(guard,), name="hasher", daemon=True
        )
        self._thread.start()

    def end(self, within_s: float) -> None:
        """Stop at once; files whose digests are not in the journal yet are read again."""
        self._over = True
        self._jobs.put(None)
        if self._thread:
            self._thread.join(within_s)

    # ------------------------------------------------------------------ which

    def consider(
        self, record: ExecutionRecord, disk: Disk, seen: Observation, leave: Collection[str]
    ) -> datetime | None:
        """Queue the files of a filling unit that have been unchanged for long enough.

        Args:
            record: The unit.
            disk: Opens its files.
            seen: A look at it.
            leave: Paths that are not hashed.

        Returns:
            When to look again, because another file may be unchanged for long enough by then.
        """
        if self._over:
            return None
        known = set() if record.id in self._files else set(self._known(record.id))
        return self._consider(record.id, disk, seen, leave, known)

    def consider_loose(
        self, folder: Path, disk: Disk, seen: Observation, leave: Collection[str]
    ) -> datetime | None:
        """As `consider`, for the files of a drop folder that are in no batch yet: all of *seen*.

        Their digests are in memory until `take`; after a restart they are read again.
        """
        if self._over:
            return None
        known = self._loose.setdefault(folder, {})
        stamps = {each.stamp for each in seen.entries.values()}
        for stamp in list(known):  # a copy: the thread that hashes adds to it
            if stamp not in stamps:
                del known[stamp]
        return self._consider(folder, disk, seen, leave, known)

    def take(self, folder: Path, record: ExecutionRecord, seen: Observation) -> None:
        """Keep in the journal the known digests of a new batch, *record* with the files *seen*."""
        known = self._loose.get(folder, {})
        kept = [
            KeepDigest(replace(digest, execution_id=record.id))
            for stamp in {entry.stamp for entry in seen.entries.values()}
            if (digest := known.pop(stamp, None))
        ]
        if kept:
            self.journal.commit(kept)

    def _consider(
        self,
        group: _Group,
        disk: Disk,
        seen: Observation,
        leave: Collection[str],
        known: Collection[Stamp],
    ) -> datetime | None:
        waiting = []
        for file in self._followed(group, seen, leave, known):
            if file.asked:
                continue
            if file.due <= seen.looked_at:
                file.asked = True
                self._jobs.put(_Job(group, disk, file))
            else:
                waiting.append(file.due)
        return min(waiting, default=None)

    def forget(self, group: _Group) -> None:
        """Stop hashing files of a unit: it is complete or gone."""
        self._files.pop(group, None)

    def forget_all(self) -> None:
        """Forget since when files are unchanged: the clock was set."""
        self._files.clear()

    def _followed(
        self,
        group: _Group,
        seen: Observation,
        leave: Collection[str],
        known: Collection[Stamp],
    ) -> Collection[_File]:
        worth = (
            entry
            for path, entry in seen.entries.items()
            if entry.kind is Kind.CONTENT and entry.size_bytes and path not in leave
        )
        entries = heapq.nlargest(_FILES, worth, key=lambda entry: entry.size_bytes)
        before = self._files.get(group, {})
        after: dict[tuple[int, int], _File] = {}
        for entry in entries:
            file = before.get(entry.identity)
            if file is None:
                file = _File(entry, seen.looked_at, self.stable_s, entry.stamp in known)
            elif file.entry.stamp != entry.stamp:
                wait_s = min(2 * file.wait_s, _PATIENCE_S) if file.asked else file.wait_s
                file = _File(entry, seen.looked_at, wait_s)
            after[entry.identity] = file
        self._files[group] = after
        return after.values()

    def _known(self, execution_id: int) -> Iterator[Stamp]:
        yield from (each.stamp for each in self.journal.digests(execution_id))
        yield from (each.stamp for each in self.journal.files(execution_id) if each.md5)

    # ------------------------------------------------------------------ hashing

    def _work(self, guard: Callable[[Callable[[], None]], None]) -> None:
        begin()
        process = self._process
        try:
            while not self._over and self._is_ours():
                for job in self._next(process):
                    beat()
                    if self._is_wanted(job):
                        self._hash(job, process)
                    if time.monotonic() > self._kept_s + _KEEP_S or self._jobs.empty():
                        guard(self._keep)
                guard(self._keep)
        finally:
            process.close()
            if self._is_ours():
                self._over = True
            else:
                end()

    def _is_ours(self) -> bool:
        """Return whether no other thread has taken the place of this one."""
        return self._thread is threading.current_thread()

    def _next(self, process: HashProcess) -> list[_Job]:
        """Wait for jobs and return them, without those whose file is open for writing."""
        with waiting():
            jobs = [self._wait(process)]
        with suppress(queue.Empty):
            while len(jobs) < _TOGETHER:
                jobs.append(self._jobs.get_nowait())
        wanted = [job for job in jobs if job and self._is_wanted(job)]
        looks: dict[str, dict[str, Entry]] = {}
        for job in wanted:
            looks.setdefault(str(job.disk.root), {})[job.file.entry.path] = job.file.entry
        now = datetime.now(UTC)
        with depending_on(next(iter(looks), "/")):  # usually there is one
            found = holders([Observation(root, each, now, {}) for root, each in looks.items()])
        closed = []
        for job in wanted:
            if job.file.entry.path in found[str(job.disk.root)].open:
                job.file.asked = False  # the next look asks again
            else:
                closed.append(job)
        return closed

    def _wait(self, process: HashProcess) -> _Job | None:
        try:
            return self._jobs.get(timeout=_IDLE_S)
        except queue.Empty:
            process.close()
            return self._jobs.get()

    def _is_wanted(self, job: _Job) -> bool:
        files = self._files.get(job.group, {})
        if self._over or files.get(job.file.entry.identity) is not job.file:
            return False
        if hangs := self.hangs_at(job.disk.root):
            job.file.asked = False  # the next look asks again
        return not hangs

    def _hash(self, job: _Job, process: HashProcess) -> None:
        entry, found = job.file.entry, None
        try:
            with job.disk.open(entry) as body:
                found = process.digests(body, lambda: self._is_wanted(job))
            job.disk.verify(entry)
        except (FileChangedError, FileNotFoundError, RefusedError, TransientError):
            return  # the next look or the upload deals with it
        except OSError as error:
            self._tell(job, f"it failed: {error}")
        if process.problem:
            self._tell(job, f"it has no idle priority: {process.problem}")
        if found and found.size_bytes == entry.size_bytes:
            self._learn(job.group, entry, found)

    def _learn(self, group: _Group, entry: Entry, found: Digests) -> None:
        known = ContentDigest(
            _NO_EXECUTION if isinstance(group, Path) else group,
            size_bytes=entry.size_bytes,
            mtime_ns=entry.mtime_ns,
            device=entry.device,
            inode=entry.inode,
            md5=found.md5,
            sha256=found.sha256,
            ctime_ns=entry.ctime_ns,
        )
        if isinstance(group, Path):
            self._loose.setdefault(group, {})[entry.stamp] = known
        else:
            self._found.append(KeepDigest(known))

    def _tell(self, job: _Job, why: str) -> None:
        if not self._told:
            self._told = True
            about = "hashing files while a directory is filling"
            self.emit(NoticeAdded(execution=job.disk.root.name, about=about, why=why))

    def _keep(self) -> None:
        self._kept_s = time.monotonic()
        if self._found:
            self.journal.commit(self._found)
            self._found = []


def earliest(*times: datetime | None) -> datetime | None:
    """Return the earliest of the times that are not None."""
    return min((at for at in times if at), default=None)
