"""One thread that writes for all others: all waiting requests share one transaction.

A transaction per caller would cost a synchronous write to the disk each, and SQLite lets waiting
writers starve while they poll.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine

from deriva_watch.core.changes import Change
from deriva_watch.core.events import Event
from deriva_watch.edges.journal.database.quarantine import inode_of
from deriva_watch.edges.journal.problems import explained, gone, unusable
from deriva_watch.edges.journal.transaction import Transaction
from deriva_watch.liveness import begin, end, waiting

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One caller's request: *work*, which needs the rows of *changes*."""

    work: Callable[[Transaction], Any]
    changes: Sequence[Change]
    result: Future[Any] = field(default_factory=Future)


class Writer:
    """The thread and its queue of requests."""

    def __init__(
        self,
        engine: Engine,
        journal: Path,
        emit: Callable[[Event], None],
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._inode = inode_of(journal)
        self._emit = emit
        self._now = now
        self._wake = threading.Condition()
        self._requests: list[_Request] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def ask(self, work: Callable[[Transaction], _T], changes: Sequence[Change] = ()) -> _T:
        """Run *work* in a transaction; return its result once it is durable and its events out."""
        request = _Request(work, changes)
        with self._wake:
            if self._closed:
                raise unusable("write", self._journal, "it is closed")
            self._requests.append(request)
            self._wake.notify()
        with waiting():
            result: _T = request.result.result()
        return result

    def close(self) -> None:
        """Finish all requests, then end the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        begin()
        while batch := self._take():
            self._write(batch)
        end()

    def _take(self) -> list[_Request]:
        """Wait for requests and return all of them; an empty list means that it is closed."""
        with self._wake, waiting():
            self._wake.wait_for(lambda: self._requests or self._closed)
            batch, self._requests = self._requests, []
        return batch

    def _write(self, batch: Sequence[_Request]) -> None:
        try:
            explaining = explained("write", self._journal, in_use=True)
            with explaining, self._engine.begin() as connection:
                self._check_place()
                changes = Transaction(connection, self._now())
                changes.load(list(chain.from_iterable(request.changes for request in batch)))
                results = [request.work(changes) for request in batch]
                changes.write()
        except BaseException as error:  # noqa: BLE001 - the caller gets it; others need this thread
            if len(batch) > 1:  # find out which request fails: the others succeed
                for request in batch:
                    self._write([request])
            else:
                batch[0].result.set_exception(error)
            return
        for event in changes.events:
            self._report(event)
        for request, result in zip(batch, results, strict=True):
            request.result.set_result(result)

    def _check_place(self) -> None:
        """Raise if the journal's file was deleted or replaced: the change would be lost."""
        if inode_of(self._journal) != self._inode:
            raise gone(self._journal)

    def _report(self, event: Event) -> None:
        try:
            self._emit(event)
        except BaseException:  # noqa: BLE001 - the change is durable: for the caller it succeeded
            bug = threading.ExceptHookArgs((*sys.exc_info(), self._thread))
            threading.excepthook(bug)
