"""The steps that read the bytes of files: many files at once."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from shlex import quote
from typing import Any, BinaryIO, Final

from deriva_watch.core.error_effects import Effect, classify
from deriva_watch.core.errors import (
    FileChangedError,
    RefusedError,
    TransientError,
)
from deriva_watch.core.names import CONTENT_PATH
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.records import FileFacts
from deriva_watch.core.states import FileTrigger
from deriva_watch.engine.call_retry import CallRetry, elapsed_since
from deriva_watch.engine.content import Digests, Progress, digests
from deriva_watch.engine.fair_pool import FairPool
from deriva_watch.engine.files.depositor import Depositor, RecordedMeanwhileError, Source
from deriva_watch.engine.naming import Naming
from deriva_watch.engine.unit_upload import Move, UnitUpload
from deriva_watch.liveness import beat

Watch = Callable[[str, str, int], None]  # path, "hash" or "send", bytes just processed
Step = Callable[[UnitUpload, str], Move | None]
SMALL_BYTES: Final = 1024 * 1024  # work on a file up to this size never waits for a large file
_TOGETHER_S: Final = 0.05  # results within this time are one transaction


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """One step of many files, under way in a pool."""

    pool: FairPool
    paths: Sequence[str]
    futures: Sequence[Future[Move | None]]
    stopping: threading.Event


@dataclass(frozen=True, slots=True)
class Files:
    """Hashes and stores files on pools of threads, many at once.

    One file that fails does not stop the others. An error that stops everything (the server is
    away, the daemon stops, a bug) is raised after all running steps have ended.
    """

    depositor: Depositor
    naming: Naming
    hashing: FairPool
    sending: FairPool
    call_retry: CallRetry
    watch: Watch = lambda _path, _phase, _count: None

    def hash(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Compute the digests of *paths*."""
        self._settle(self._begin(self.hashing, upload, self._hash, paths), upload.note)

    def store(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Make sure that each of *paths* is stored in an object version."""
        self.settle_stored(upload, self.begin_storing(upload, paths))

    def begin_storing(self, upload: UnitUpload, paths: Sequence[str]) -> Running:
        """Begin to store *paths*; `settle_stored` has to follow."""
        return self._begin(self.sending, upload, self._store, paths)

    def settle_stored(self, upload: UnitUpload, running: Running) -> None:
        """Wait until files are stored and the journal has their versions."""
        try:
            self._settle(running, upload.commit)
        finally:  # what did not come into the journal is done again
            self.depositor.release(upload.records[path].id for path in running.paths)

    def each(self, upload: UnitUpload, step: Step, paths: Sequence[str]) -> None:
        """Do another step for each of *paths*."""
        self._settle(self._begin(self.sending, upload, step, paths), upload.commit)

    def _begin(
        self, pool: FairPool, upload: UnitUpload, step: Step, paths: Sequence[str]
    ) -> Running:
        stopping = threading.Event()

        def one(path: str) -> Move | None:
            beat()
            if stopping.is_set():
                return None
            try:
                return self.attempt(upload, step, path)
            except BaseException:
                stopping.set()
                raise

        owner, futures = upload.execution.id, []
        for path in paths:
            is_small = upload.size_bytes(path) <= SMALL_BYTES
            futures.append(pool.submit(owner, partial(one, path), is_small=is_small))
        return Running(pool, paths, futures, stopping)

    def _settle(self, running: Running, write: Callable[[Sequence[Move]], None]) -> None:
        """Wait for a step, and *write* its moves in groups."""
        left: set[Future[Move | None]] = set(running.futures)
        error: BaseException | None = None
        while left:
            beat()  # the running threads give signs of life themselves
            running.pool.replace_hung()
            done, left = wait(left, timeout=_TOGETHER_S)
            error = error or next((e for future in done if (e := future.exception())), None)
            try:
                write([m for f in done if not f.exception() and (m := f.result())])
            except BaseException as failed:  # noqa: BLE001  # raised once nothing runs any more
                running.stopping.set()
                error = error or failed
        if error:
            raise error

    def attempt(self, upload: UnitUpload, step: Step, path: str) -> Move | None:
        """Do one step for a file and return its move; *upload* notes a failure.

        Raises errors that concern all files: the server is away, the work has to stop, a bug.
        """
        self.call_retry.check()
        try:
            upload.check(path)
            return step(upload, path)
        except FileNotFoundError:
            return Move(path, FileTrigger.VANISHED)
        except RecordedMeanwhileError:
            upload.again.add(path)
        except Exception as error:  # noqa: BLE001  # an error that concerns all files is raised again
            _note_failure(upload, path, error)
        return None

    def _moved(self, upload: UnitUpload, path: str, phase: str) -> Progress:
        def moved(count: int) -> None:
            self.call_retry.check()
            upload.check(path)
            self.watch(path, phase, count)

        return moved

    def _hash(self, upload: UnitUpload, path: str) -> Move:
        asset, start_s = upload.assets[path], time.monotonic()
        entry = asset.entry
        known = self.naming.begin(upload, asset)
        found = self._digests(upload, asset, known)
        self.naming.verify(upload, asset)
        if found.size_bytes != entry.size_bytes and CONTENT_PATH not in known:
            raise FileChangedError(path)
        facts: FileFacts = {
            "md5": found.md5,
            "sha256": found.sha256,
            "table": str(asset.table),
            "statement": asset.statement(),
            "size_bytes": entry.size_bytes,
            "mtime_ns": entry.mtime_ns,
            "device": entry.device,
            "inode": entry.inode,
            "ctime_ns": entry.ctime_ns,
            "names": self.naming.complete(asset, known, found),
        }
        return Move(path, FileTrigger.HASHED, facts, elapsed_since(start_s))

    def _digests(self, upload: UnitUpload, asset: AssetPlan, known: Mapping[str, Any]) -> Digests:
        """Hash the content to send, unless that was done while the directory was filling."""
        more, made = self.naming.more_digests(asset), CONTENT_PATH in known
        if not (more or made) and (ahead := upload.known_digests(asset.entry)):
            return ahead
        with self.naming.content(upload, asset, known) as body:
            return digests(body, self._moved(upload, asset.path, "hash"), more)

    def _store(self, upload: UnitUpload, path: str) -> Move:
        asset, record, start_s = upload.assets[path], upload.records[path], time.monotonic()

        def verify() -> None:
            self.naming.verify(upload, asset)

        def opened() -> AbstractContextManager[BinaryIO]:
            return self.naming.content(upload, asset, record.names)

        with opened() as body:
            source = Source(
                body,
                opened,
                self._moved(upload, path, "send"),
                notice=lambda why: upload.notice(path, why),
                verify=verify,
                says=lambda rows: path not in upload.lost and bool(upload.chosen(path, rows)),
            )
            try:
                facts = self.depositor.deposit(asset, record, source)
            except (RefusedError, TransientError):
                verify()  # the bytes do not match their digest: the file has changed
                raise
        return Move(path, FileTrigger.STORED, facts, elapsed_since(start_s))


def _note_failure(upload: UnitUpload, path: str, error: Exception) -> None:
    """Note in *upload* the failure of one file; raise an error that concerns all files."""
    match classify(error, f"cannot read {path}"):
        case (Effect.CHANGED, _):
            upload.change(path)
        case (Effect.REFUSE | Effect.WAIT_FOR_SPEC, RefusedError() as refusal):
            upload.refuse(path, refusal)
        case (Effect.RETRY | Effect.RETRY_UNLESS_AWAY | Effect.WAIT, TransientError() as transient):
            upload.transient = transient
        case (_, OSError() as unreadable):
            why = unreadable.strerror or type(unreadable).__name__
            then = f"Fix it, then run `deriva-watch retry {quote(upload.execution.rid)}`."
            upload.refuse(path, RefusedError(f"cannot read {path}", why, then))
        case _:
            raise error
