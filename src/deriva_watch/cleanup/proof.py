"""Proves that files may be removed: unchanged here, written by nobody, still on the server.

A removal and its rehearsal (`reclaim --dry-run`) ask for the same proof.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from deriva_watch.cleanup.file_removal import (
    FileRemoval,
    UploadAgainError,
    check_writers,
    still_open,
)
from deriva_watch.cleanup.policy import Policy
from deriva_watch.core.errors import InterruptedWorkError
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.removal.verification import RESTORE
from deriva_watch.edges.disk import open_folders, removal
from deriva_watch.edges.disk.removal import Aside
from deriva_watch.edges.disk.scanning import dangling_links
from deriva_watch.engine.content import digests
from deriva_watch.engine.read_back import ObjectReader
from deriva_watch.engine.server_check import ServerCheck


@dataclass(frozen=True, slots=True)
class Proof:
    """Checks files one group at a time; once *stop* is set it raises InterruptedWorkError."""

    server_check: ServerCheck
    model: Callable[[], CatalogModel]
    stop: threading.Event

    def prove(
        self,
        unit: ExecutionRecord,
        policy: Policy,
        removals: Sequence[FileRemoval],
        stack: ExitStack,
    ) -> None:
        """Set files aside until *stack* closes, and note in each why it must stay.

        Raises errors that concern more than these files.
        """
        self._set_aside(policy, removals, stack)
        check_writers(removals)  # before large files are read for nothing
        self._reread(still_open(removals))
        self._ask_server(unit, still_open(removals))
        self._read_back(policy, still_open(removals))
        check_writers(removals)

    def _set_aside(self, policy: Policy, removals: Iterable[FileRemoval], stack: ExitStack) -> None:
        for each in removals:
            with each.catching():
                dangling_links.check(policy.top, [policy.base + p for p in each.removable.links])
                stack.enter_context(each.aside)

    def _reread(self, removals: Iterable[FileRemoval]) -> None:
        for each in removals:
            with each.catching():
                self._compare(each.aside, each.file)

    def _compare(self, aside: Aside, file: FileRecord) -> None:
        """Raise UploadAgainError where the bytes aside are not those that were uploaded."""

        def moved(_: int) -> None:
            self._check_stop()
            aside.check()

        with removal.explained(file.path), aside.body() as body:
            found = digests(body, moved)
        if (found.md5, found.sha256) != (file.md5, file.sha256):
            raise UploadAgainError(f"{file.path} no longer has the content that was uploaded")

    def _ask_server(self, unit: ExecutionRecord, removals: Sequence[FileRemoval]) -> None:
        if removals:
            files = [each.file for each in removals]
            found = self.server_check.differences(self.model(), files, unit.links_to)
            for each in removals:
                if why := found.get(each.file.path):
                    each.error = UploadAgainError("; ".join(why))

    def _read_back(self, policy: Policy, removals: Iterable[FileRemoval]) -> None:
        for each in removals if policy.read_back != "none" else ():
            with each.catching():
                if why := self._stored_differently(policy, each):
                    with removal.explained(each.file.path):
                        each.aside.check()  # the difference may be here
                    raise open_folders.kept(each.file.path, why, RESTORE)

    def _stored_differently(self, policy: Policy, each: FileRemoval) -> str | None:
        reader = ObjectReader(self.server_check.store, self.server_check.call_retry)
        if policy.read_back == "all":
            return reader.compare_all(each.file, lambda _: self._check_stop())
        with removal.explained(each.file.path), each.aside.body() as body:
            return reader.compare_sample(each.file, body)

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise InterruptedWorkError("stopping")
