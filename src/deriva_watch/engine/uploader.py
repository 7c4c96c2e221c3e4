"""Uploads the planned files of one unit: hash, store, record, link.

Every step is done and then written to the journal; a crash between the two repeats one call. The
journal has the state of each file, so the same code starts and resumes an upload.
"""

import json
import threading
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from deriva_watch.core.rows.table_order import levels
from deriva_watch.core.states import FileState, FileTrigger
from deriva_watch.engine.files.files import Files
from deriva_watch.engine.ports import Processors
from deriva_watch.engine.rows.rows import Rows
from deriva_watch.engine.rows.tables import Tables
from deriva_watch.engine.rows.template_rows import TemplateRows
from deriva_watch.engine.unit_upload import Move, UnitUpload

_LOOK_S = 0.5  # how often a waiting thread checks whether to stop


class ContentLocks:
    """The contents that workers are uploading at present; each is locked by one worker."""

    def __init__(self) -> None:
        """Start with none."""
        self._busy: set[Hashable] = set()
        self._freed = threading.Condition()

    def claim(self, keys: Iterable[Hashable]) -> set[Hashable]:
        """Lock and return those of *keys* that are free."""
        with self._freed:
            mine = set(keys) - self._busy
            self._busy |= mine
            return mine

    def release(self, keys: Iterable[Hashable]) -> None:
        """Unlock *keys* and wake up waiting threads."""
        with self._freed:
            self._busy -= set(keys)
            self._freed.notify_all()

    def wait(self) -> None:
        """Wait until a key is released, or for a moment."""
        with self._freed:
            self._freed.wait(_LOOK_S)


SLICE_FILES: Final = 500  # files whose rows are sent together; limits what a failed request repeats


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

    def hash(self, upload: UnitUpload) -> None:
        """Hash the planned assets, and do nothing else yet."""
        paths = list(upload.assets)
        for start in range(0, len(paths), SLICE_FILES):
            part = paths[start : start + SLICE_FILES]
            self.files.hash(upload, upload.in_state(part, FileState.FOUND))

    def _assets(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Upload and link files of asset tables."""
        for start in range(0, len(paths), SLICE_FILES):
            part = paths[start : start + SLICE_FILES]
            self.files.hash(upload, upload.in_state(part, FileState.FOUND))
            by_template = [path for path in part if upload.assets[path].by_templates]
            by_content = [path for path in part if not upload.assets[path].by_templates]
            self.rows.follow_edits(upload, upload.in_state(by_content, FileState.HASHED))
            self.rows.settle_foreign(upload, upload.in_state(by_content, FileState.HASHED))
            self._bring(upload, by_content)
            self.template_rows.bring(upload, by_template)
            self.rows.link(upload, part)
            for path in by_template:  # remove what processors made
                if upload.records[path].state not in (FileState.HASHED, FileState.STORED):
                    self.processors.discard(upload.records[path].names or {})

    def _rows(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Upload the rows of files."""
        self.files.each(upload, self.tables.hash, upload.in_state(paths, FileState.FOUND))
        self.files.each(upload, self.tables.bring, upload.in_state(paths, FileState.HASHED))
        there = upload.in_state(paths, FileState.RECORDED)  # rows have no links of their own
        upload.commit([Move(path, FileTrigger.LINKED) for path in there])

    def _bring(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Make one object version and one row for every distinct content, or adopt existing ones.

        Of files with equal content and metadata, in any unit, all but the first wait and then
        adopt its row. Files that differ only in metadata wait too: a new version of an object is
        stored only after the previous one has a row, whose unique URL decides which uploader owns
        it. If two versions had no row yet, each uploader could use either of them.
        """
        todo = list(paths)
        while todo := upload.not_cancelled(
            upload.in_state(todo, FileState.HASHED, FileState.STORED)
        ):
            self.files.call_retry.check()
            # Of files with equal content, one that already has a version goes first.
            todo.sort(key=lambda path: upload.records[path].state is FileState.HASHED)
            key = {path: _content_key(upload, path) for path in todo}
            mine = self.content_locks.claim(key.values())
            if not mine:
                self.content_locks.wait()
                continue
            batch = list({key[path]: path for path in reversed(todo) if key[path] in mine}.values())
            try:
                self.rows.adopt(upload, upload.in_state(batch, FileState.HASHED))
                self.files.store(upload, upload.in_state(batch, FileState.HASHED))
                stored = upload.not_cancelled(upload.in_state(batch, FileState.STORED))
                self.rows.record(upload, stored)
                self.rows.compare(upload, self._by_job(upload, stored))
            finally:
                self.content_locks.release(mine)
            # Files that a temporary error stopped are for the next attempt.
            tried = set(batch) - upload.again
            upload.again.clear()
            todo = [path for path in todo if path not in tried]

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
