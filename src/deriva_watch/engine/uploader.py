"""Brings the planned files of one execution in: hash, store, record, link.

Every step is done, then written down; a crash between the two repeats one call. The journal says
where each file stands, so the same code begins, resumes, and finds that nothing is left to do.
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
from deriva_watch.engine.rows.template_rows import Letter
from deriva_watch.engine.unit_upload import Move, Upload

_LOOK_S = 0.5  # how often a waiter looks whether the work shall stop


class Contents:
    """The contents that some worker is bringing in at this moment."""

    def __init__(self) -> None:
        """Begin with none."""
        self._busy: set[Hashable] = set()
        self._freed = threading.Condition()

    def claim(self, keys: Iterable[Hashable]) -> set[Hashable]:
        """Take those of *keys* that nobody works on."""
        with self._freed:
            mine = set(keys) - self._busy
            self._busy |= mine
            return mine

    def release(self, keys: Iterable[Hashable]) -> None:
        """Give them back; whoever waits looks again."""
        with self._freed:
            self._busy -= set(keys)
            self._freed.notify_all()

    def wait(self) -> None:
        """Wait until something is given back, or a moment has passed."""
        with self._freed:
            self._freed.wait(_LOOK_S)


SLICE_FILES: Final = 500  # files whose rows go together; bounds what a failed request repeats


@dataclass(frozen=True, slots=True)
class Uploader:
    """The pipeline. One instance serves all executions of one catalog, from many threads."""

    files: Files
    rows: Rows
    letter: Letter
    processors: Processors
    tables: Tables
    contents: Contents = field(default_factory=Contents)

    def run(self, upload: Upload) -> None:
        """Bring every asset as far as it goes; what happened to it stands in *upload*.

        Raises ServerAwayError, CredentialError or InterruptedWorkError: the work stops where it is.
        """
        for level in levels(upload.model, [each.table for each in upload.planned()]):
            self._assets(upload, [p for p, asset in upload.assets.items() if asset.table in level])
            self._rows(upload, [path for path, plan in upload.rows.items() if plan.table in level])
        planned = upload.assets.keys() | upload.rows.keys()
        self.rows.link(upload, [path for path in upload.records if path not in planned])

    def _assets(self, upload: Upload, paths: Sequence[str]) -> None:
        """Bring files of asset tables in, and link them."""
        for start in range(0, len(paths), SLICE_FILES):
            part = paths[start : start + SLICE_FILES]
            self.files.hash(upload, upload.standing(part, FileState.FOUND))
            by_letter = [path for path in part if upload.assets[path].to_the_letter]
            by_content = [path for path in part if not upload.assets[path].to_the_letter]
            self.rows.follow_edits(upload, upload.standing(by_content, FileState.HASHED))
            self.rows.settle_foreign(upload, upload.standing(by_content, FileState.HASHED))
            self._bring(upload, by_content)
            self.letter.bring(upload, by_letter)
            self.rows.link(upload, part)
            for path in by_letter:  # what was made to be sent is not needed any more
                if upload.records[path].state not in (FileState.HASHED, FileState.STORED):
                    self.processors.discard(upload.records[path].names or {})

    def _rows(self, upload: Upload, paths: Sequence[str]) -> None:
        """Bring the rows of files in."""
        self.files.each(upload, self.tables.hash, upload.standing(paths, FileState.FOUND))
        self.files.each(upload, self.tables.bring, upload.standing(paths, FileState.HASHED))
        there = upload.standing(paths, FileState.RECORDED)  # rows have no links of their own
        upload.commit([Move(path, FileTrigger.LINKED) for path in there])

    def _bring(self, upload: Upload, paths: Sequence[str]) -> None:
        """Make one object version and one row for every distinct content; adopt what is there.

        Files that say the same wait for the first of them, in this execution or another, and then
        adopt its row. So do those that differ in their metadata alone: the next version of an
        object comes once the last one has its row, whose unique URL settles which of two uploaders
        has it. With two versions at large each could give either of them to another asset.
        """
        todo = list(paths)
        while todo := upload.going(upload.standing(todo, FileState.HASHED, FileState.STORED)):
            self.files.patience.check()
            # Of files with one content, one that has a version already goes first.
            todo.sort(key=lambda path: upload.records[path].state is FileState.HASHED)
            key = {path: _content_key(upload, path) for path in todo}
            mine = self.contents.claim(key.values())
            if not mine:
                self.contents.wait()
                continue
            batch = list({key[path]: path for path in reversed(todo) if key[path] in mine}.values())
            try:
                self.rows.adopt(upload, upload.standing(batch, FileState.HASHED))
                self.files.store(upload, upload.standing(batch, FileState.HASHED))
                stored = upload.going(upload.standing(batch, FileState.STORED))
                self.rows.record(upload, stored)
                self.rows.compare(upload, self._by_job(upload, stored))
            finally:
                self.contents.release(mine)
            # What a passing error left where it was is for the next attempt.
            tried = set(batch) - upload.again
            upload.again.clear()
            todo = [path for path in todo if path not in tried]

    def _by_job(self, upload: Upload, paths: Sequence[str]) -> list[str]:
        """Return those of *paths* of which there may be two versions, hence two rows.

        Two upload jobs of one name may both be finished: the server does not choose.
        """
        there, depositor = upload.standing(paths, FileState.RECORDED), self.files.depositor
        return [p for p in there if depositor.by_job(upload.assets[p], upload.records[p])]


def _content_key(upload: Upload, path: str) -> Hashable:
    asset, record = upload.assets[path], upload.records[path]
    key = asset.table, record.md5, record.size_bytes, asset.file_name
    if record.size_bytes:
        return key
    # What is empty comes by a job, which asks for no last version: waiting would settle nothing.
    return *key, json.dumps(asset.values, sort_keys=True)
