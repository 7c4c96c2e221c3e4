"""One thread that writes for all others: all waiting requests share one transaction.

A transaction per caller would cost a synchronous write to the disk each, and SQLite lets waiting
writers starve while they poll.

A request is written at once if the thread has been idle. Under load, requests that nobody waits for
yet are collected for a moment: a transaction costs the same for one change as for many.
"""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Engine

from deriva_watch.core.changes import Change
from deriva_watch.core.errors import JournalDamagedError, TroubleError
from deriva_watch.core.events import Event
from deriva_watch.edges.journal.database.quarantine import inode_of
from deriva_watch.edges.journal.problems import explained, gone, unusable
from deriva_watch.edges.journal.pruning import Pruning
from deriva_watch.edges.journal.stored_tables import StoredTables
from deriva_watch.edges.journal.transaction import Transaction
from deriva_watch.liveness import begin, end, waiting

_T = TypeVar("_T")

TOGETHER_S: Final = 0.05  # the longest that a request waits for others
TOGETHER: Final = 500  # changes that are enough for a transaction


class Promise(Future[_T], Generic[_T]):
    """The result of a request: pending while that is queued, running while it is written.

    Args:
        hurry: Makes the writer write what is queued.
    """

    def __init__(self, hurry: Callable[[], None]) -> None:
        super().__init__()
        self._hurry = hurry

    def cancel(self) -> bool:
        """Return False: what was asked for is done."""
        return False

    def result(self, timeout: float | None = None) -> _T:
        """Wait until the request is durable and its events are out; return its result."""
        with self._hurrying():
            return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as `result`; return the error, or None."""
        with self._hurrying():
            return super().exception(timeout)

    @contextmanager
    def _hurrying(self) -> Iterator[None]:
        if not (self.running() or self.done()):
            self._hurry()
        with waiting():
            yield


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One caller's request: *work*, which needs the rows of *changes*."""

    work: Callable[[Transaction], Any]
    changes: Sequence[Change]
    result: Promise[Any]


class Writer:
    """The thread and its queue of requests."""

    def __init__(
        self,
        engine: Engine,
        journal: Path,
        emit: Callable[[Event], None],
        now: Callable[[], datetime],
        pruning: Pruning,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._inode = inode_of(journal)
        self._emit = emit
        self._now = now
        self._pruning = pruning
        self._tables = StoredTables(engine.dialect)
        self._wake = threading.Condition()
        self._requests: list[_Request] = []
        self._changes = 0  # in these requests
        self._is_awaited = False  # somebody waits for one of them
        self._written_s = -math.inf  # when the last transaction ended
        self._closed = False
        self.found_damage = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def ask(self, work: Callable[[Transaction], _T], changes: Sequence[Change] = ()) -> _T:
        """Run *work* in a transaction; return its result once it is durable and its events out."""
        return self.submit(work, changes).result()

    def submit(
        self, work: Callable[[Transaction], _T], changes: Sequence[Change] = ()
    ) -> Promise[_T]:
        """Queue *work* and return at once; it runs after what was queued before."""
        request = _Request(work, changes, Promise(self._hurry))
        with self._wake:
            if self._closed:
                request.result.set_exception(unusable("write", self._journal, "it is closed"))
                return request.result
            self._requests.append(request)
            self._changes += len(changes)
            if len(self._requests) == 1 or self._changes >= TOGETHER:
                self._wake.notify()
        return request.result

    def close(self) -> None:
        """Finish all requests, then end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        begin()
        while True:
            if batch := self._take():
                self._write(batch)
                self._written_s = time.monotonic()
            elif self._closed:
                break
            if self._pruning.wait_s == 0:
                self._prune()
        end()

    def _hurry(self) -> None:
        """Write what is queued without waiting for more."""
        with self._wake:
            if not self._is_awaited:
                self._is_awaited = True
                self._wake.notify()

    def _take(self) -> list[_Request]:
        """Wait for requests and return all of them; none if it is closed, or time to prune."""
        with self._wake, waiting():
            self._wake.wait_for(lambda: self._requests or self._closed, self._pruning.wait_s)
            if self._requests:
                due_s = self._written_s + TOGETHER_S
                self._wake.wait_for(self._is_enough, max(0.0, due_s - time.monotonic()))
            batch, self._requests = self._requests, []
            self._changes, self._is_awaited = 0, False
        for request in batch:
            request.result.set_running_or_notify_cancel()
        return batch

    def _is_enough(self) -> bool:
        return self._is_awaited or self._closed or self._changes >= TOGETHER

    def _write(self, batch: Sequence[_Request]) -> None:
        try:
            explaining = explained("write", self._journal, in_use=True)
            with explaining, self._engine.begin() as connection:
                self._check_place()
                changes = Transaction(connection, self._tables, self._now())
                changes.load(list(chain.from_iterable(request.changes for request in batch)))
                results = [request.work(changes) for request in batch]
                changes.write()
        except BaseException as error:  # noqa: BLE001 - the caller gets it; others need this thread
            if len(batch) > 1:  # find out which request fails: the others succeed
                half = len(batch) // 2
                self._write(batch[:half])
                self._write(batch[half:])
            else:
                self.found_damage |= isinstance(error, JournalDamagedError)
                batch[0].result.set_exception(error)
            return
        changes.remember()
        for event in changes.events:
            self._report(event)
        for request, result in zip(batch, results, strict=True):
            request.result.set_result(result)

    def _prune(self) -> None:
        try:
            with explained("write", self._journal, in_use=True), self._engine.begin() as connection:
                self._check_place()
                self._pruning.step(connection, self._now())
        except TroubleError as error:  # the next request meets it too, and has somebody to tell
            self.found_damage |= isinstance(error, JournalDamagedError)
            self._pruning.rest()
        except BaseException:  # noqa: BLE001 - others need this thread
            self._pruning.rest()
            self._report_bug()

    def _check_place(self) -> None:
        """Raise if the journal's file was deleted or replaced: the change would be lost."""
        if inode_of(self._journal) != self._inode:
            raise gone(self._journal)

    def _report(self, event: Event) -> None:
        try:
            self._emit(event)
        except BaseException:  # noqa: BLE001 - the change is durable: for the caller it succeeded
            self._report_bug()

    def _report_bug(self) -> None:
        bug = threading.ExceptHookArgs((*sys.exc_info(), self._thread))
        threading.excepthook(bug)
