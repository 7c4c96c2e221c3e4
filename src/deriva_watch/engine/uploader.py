"""Uploads the planned files of one unit: hash, store, record, link.

The files pass through these stages in pages. The stages run at the same time, each on another page,
so that a unit is hashed, sent and recorded at once. A table that others refer to comes before them.

Every step is done and then written to the journal; a crash between the two repeats one call. The
journal has the state of each file, so the same code starts and resumes an upload.
"""

import json
import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self

from deriva_watch.core.rows.table_order import levels
from deriva_watch.core.states import FileState, FileTrigger
from deriva_watch.engine.ahead import ahead
from deriva_watch.engine.content_locks import ContentLocks
from deriva_watch.engine.files.files import Files, Running
from deriva_watch.engine.ports import Processors
from deriva_watch.engine.rows.rows import Rows
from deriva_watch.engine.rows.tables import Tables
from deriva_watch.engine.rows.template_rows import TemplateRows
from deriva_watch.engine.unit_upload import Move, UnitUpload

PAGE_FILES: Final = 200  # files that pass through the stages together
PAGE_BYTES: Final = 64 * 1024 * 1024  # the same: a large file is alone, so that the next is hashed
_SENT_AHEAD: Final = 2  # pages that are being sent behind the one that is waited for


@dataclass(frozen=True, slots=True)
class _Sending:
    """Files that are being sent; their contents are locked."""

    paths: Sequence[str]
    keys: Iterable[Hashable]
    running: Running


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """The contents an upload has locked, and what it is sending; all of it ends on exit."""

    content_locks: ContentLocks
    settle: Callable[[Running], None]
    _keys: set[Hashable] = field(default_factory=set)
    _running: list[Running] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for each in self._running:
                each.stopping.set()
                with suppress(Exception):  # an error of another stage ends the upload
                    self.settle(each)  # what is stored need not be sent again
        finally:
            self.content_locks.release(self._keys)

    def claim(self, keys: Iterable[Hashable]) -> set[Hashable]:
        """Lock and return those of *keys* that are free."""
        mine = self.content_locks.claim(keys)
        self._keys.update(mine)
        return mine

    def begin(self, running: Running) -> Running:
        """Note what is being sent, and return it."""
        self._running.append(running)
        return running

    def end(self, sending: _Sending) -> None:
        """Forget files that have their rows, or have failed."""
        self._running.remove(sending.running)
        self._keys.difference_update(sending.keys)
        self.content_locks.release(sending.keys)


@dataclass(frozen=True, slots=True)
class Uploader:
    """The pipeline. One instance serves all executions of one catalog, from many threads."""

    files: Files
    rows: Rows
    template_rows: TemplateRows
    processors: Processors
    tables: Tables
    content_locks: ContentLocks = field(default_factory=ContentLocks)

    def run(self, upload: UnitUpload) -> None:
        """Upload every file as far as possible; *upload* has the results.

        Raises ServerAwayError, CredentialError or InterruptedWorkError if the work has to stop.
        """
        for level in levels(upload.model, [each.table for each in upload.planned()]):
            self._assets(upload, [p for p, asset in upload.assets.items() if asset.table in level])
            self._rows(upload, [path for path, plan in upload.rows.items() if plan.table in level])
        planned = upload.assets.keys() | upload.rows.keys()
        self.rows.link(upload, [path for path in upload.records if path not in planned])
        upload.commit()  # what was noted, also if there was nothing to link

    def hash(self, upload: UnitUpload) -> None:
        """Hash the planned assets, and do nothing else yet."""
        for page in _pages(upload, list(upload.assets)):
            self.files.hash(upload, upload.in_state(page, FileState.FOUND))
        upload.commit()

    def _assets(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Upload and link files of asset tables."""
        if not paths:
            return
        name = threading.current_thread().name
        with (
            _UnderWay(self.content_locks, partial(self.files.settle_stored, upload)) as under_way,
            ahead(f"{name} hashes", self._hashed(upload, paths)) as hashed,
            ahead(f"{name} sends", self._sent(upload, hashed, under_way), _SENT_AHEAD) as sent,
            ahead(f"{name} stores", self._stored(upload, sent)) as stored,
        ):
            try:
                for each in stored:
                    if isinstance(each, _Sending):
                        self._record(upload, each.paths)
                        under_way.end(each)
                    else:
                        self._link(upload, each)
            except BaseException:
                upload.ended.set()
                raise

    def _hashed(self, upload: UnitUpload, paths: Sequence[str]) -> Generator[list[str]]:
        """Yield the pages of *paths* once they are hashed."""
        for page in _pages(upload, paths):
            self.files.hash(upload, upload.in_state(page, FileState.FOUND))
            by_content = [path for path in page if not upload.assets[path].by_templates]
            self.rows.follow_edits(upload, upload.in_state(by_content, FileState.HASHED))
            self.rows.settle_foreign(upload, upload.in_state(by_content, FileState.HASHED))
            yield page

    def _sent(
        self, upload: UnitUpload, pages: Iterable[list[str]], under_way: _UnderWay
    ) -> Generator[_Sending | list[str]]:
        """Begin to send the files of *pages*; after the last one of a page, yield the page.

        Of files with equal content and metadata, in any unit, all but the first wait and then
        adopt its row. Files that differ only in metadata wait too: a new version of an object is
        stored only after the previous one has a row, whose unique URL decides which uploader owns
        it. If two versions had no row yet, each uploader could use either of them.
        """
        for page in pages:
            todo = [path for path in page if not upload.assets[path].by_templates]
            while todo := upload.not_cancelled(
                upload.in_state(todo, FileState.HASHED, FileState.STORED)
            ):
                self.files.call_retry.check()
                # Of files with equal content, one that already has a version goes first.
                todo.sort(key=lambda path: upload.records[path].state is FileState.HASHED)
                key = {path: _content_key(upload, path) for path in todo}
                mine = under_way.claim(key.values())
                if not mine:
                    self.content_locks.wait()
                    continue
                chosen = {key[path]: path for path in reversed(todo) if key[path] in mine}
                batch = list(chosen.values())
                self.rows.adopt(upload, upload.in_state(batch, FileState.HASHED))
                unsent = upload.in_state(batch, FileState.HASHED)
                running = under_way.begin(self.files.begin_storing(upload, unsent))
                yield _Sending(batch, mine, running)
                # Files that a temporary error stopped are for the next attempt.
                todo = [path for path in todo if path not in chosen.values()]
            yield page

    def _stored(
        self, upload: UnitUpload, sent: Iterable[_Sending | list[str]]
    ) -> Generator[_Sending | list[str]]:
        """Wait until the files of each item are stored and journaled, then yield the item."""
        for each in sent:
            if isinstance(each, _Sending):
                self.files.settle_stored(upload, each.running)
                while again := upload.recorded_meanwhile(each.paths):
                    self.rows.adopt(upload, upload.in_state(again, FileState.HASHED))
                    self.files.store(upload, upload.in_state(again, FileState.HASHED))
            yield each

    def _record(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Make one row for every stored content, or adopt existing ones."""
        stored = upload.not_cancelled(upload.in_state(paths, FileState.STORED))
        self.rows.record(upload, stored)
        self.rows.compare(upload, self._by_job(upload, stored))

    def _link(self, upload: UnitUpload, page: Sequence[str]) -> None:
        """Upload the files of a page that have templates, then link all of its files."""
        by_template = [path for path in page if upload.assets[path].by_templates]
        self.template_rows.bring(upload, by_template)
        self.rows.link(upload, page)
        for path in by_template:  # remove what processors made
            if upload.records[path].state not in (FileState.HASHED, FileState.STORED):
                self.processors.discard(upload.records[path].names or {})

    def _rows(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Upload the rows of files."""
        self.files.each(upload, self.tables.hash, upload.in_state(paths, FileState.FOUND))
        self.files.each(upload, self.tables.bring, upload.in_state(paths, FileState.HASHED))
        there = upload.in_state(paths, FileState.RECORDED)  # rows have no links of their own
        upload.commit([Move(path, FileTrigger.LINKED) for path in there])

    def _by_job(self, upload: UnitUpload, paths: Sequence[str]) -> list[str]:
        """Return those of *paths* that are sent by upload jobs, so could get two versions and rows.

        Two upload jobs of one name can both be finished: the server does not prevent it.
        """
        there, depositor = upload.in_state(paths, FileState.RECORDED), self.files.depositor
        return [p for p in there if depositor.by_job(upload.assets[p], upload.records[p])]


def _content_key(upload: UnitUpload, path: str) -> Hashable:
    asset, record = upload.assets[path], upload.records[path]
    key = asset.table, record.md5, record.size_bytes, asset.file_name
    if record.size_bytes:
        return key
    # An empty file is sent by a job, which has no precondition: waiting would not help.
    return *key, json.dumps(asset.values, sort_keys=True)


def _pages(upload: UnitUpload, paths: Sequence[str]) -> Iterator[list[str]]:
    """Split *paths* into pages, limited in files and bytes."""
    page: list[str] = []
    size_bytes = 0
    for path in paths:
        if len(page) == PAGE_FILES or size_bytes >= PAGE_BYTES:
            yield page
            page, size_bytes = [], 0
        page.append(path)
        size_bytes += upload.size_bytes(path)
    if page:
        yield page
