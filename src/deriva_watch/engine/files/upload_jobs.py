"""Upload jobs: send the chunks of a content that are not acknowledged, several at a time.

The server does not tell which chunks it has, nor which job it opened if the answer was lost. The
journal records each chunk, and the existing jobs before a new one is opened. After a crash, every
job is known.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from deriva_watch.core.changes import NoteFile
from deriva_watch.core.chunks import chunk_count, chunk_span
from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.objects import ObjectHead
from deriva_watch.core.records import FileRecord
from deriva_watch.core.stats.throughput import job_bytes
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.connections import Connections
from deriva_watch.engine.content import Progress, span
from deriva_watch.engine.fair_pool import FairPool
from deriva_watch.engine.ports import Journal, ObjectStore
from deriva_watch.liveness import waiting

_CONFLICT = 409
Job = Mapping[str, Any]  # as in the journal; without "url" while it is being opened


@dataclass(frozen=True, slots=True)
class Content:
    """A content that is sent.

    Attributes:
        body: Its bytes.
        opened: Opens it again, for another thread that sends a part of it.
        moved: Called with the number of bytes sent, from any of the threads.
        notice: Called with text for people.
    """

    body: BinaryIO
    opened: Callable[[], AbstractContextManager[BinaryIO]]
    moved: Progress
    notice: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Jobs:
    """Sends content by upload jobs, and cancels jobs that are no longer needed.

    Attributes:
        pool: Its idle threads help to send the chunks of one file.
        connections: Sends the chunks.
    """

    store: ObjectStore
    journal: Journal
    call_retry: CallRetry
    pool: FairPool
    connections: Connections

    def send(
        self,
        record: FileRecord,
        head: ObjectHead,
        content: Content,
        chunk_bytes: int,
    ) -> str | None:
        """Send a content and return its version's URL; None if the job is gone.

        Args:
            record: The file.
            head: Its object.
            content: Its bytes.
            chunk_bytes: For a new job; a resumed one keeps its chunk size.
        """
        job = self._open(record, head, chunk_bytes, content.notice)
        job["resumed"] = {"at": datetime.now(UTC).isoformat(), "bytes": job_bytes(job)}
        chunks = _Chunks(job)
        content.moved(chunks.acknowledged_bytes())
        self._send_all(record, chunks, content)
        url = self._finish(job)
        if url is None:
            self._note(record, None)
        return url

    def _send_all(self, record: FileRecord, chunks: "_Chunks", content: Content) -> None:
        """Send the missing chunks: in this thread, and in idle ones of the pool."""

        def send_next(body: BinaryIO) -> bool:
            """Send one chunk; return False if none is left."""
            if (number := chunks.take()) is None:
                return False
            self._send(chunks, number, body, content.moved)
            chunks.note(number, lambda job: self._note(record, job))
            return True

        def help_out() -> None:
            try:
                with content.opened() as body:
                    has_sent = send_next(body)
            except BaseException:
                chunks.stop()
                raise
            if has_sent:
                call_for_help()  # a helper queues again after each chunk: others take turns

        def call_for_help() -> None:
            helpers.add(lambda: self.pool.submit(record.execution_id, help_out, is_small=False))

        helpers = _Helpers()
        try:
            for _ in range(min(self.pool.most, chunks.left()) - 1):
                call_for_help()
            while send_next(content.body):
                pass
        except BaseException:
            chunks.stop()
            helpers.end()
            raise
        helpers.raise_error()

    def _send(self, chunks: "_Chunks", number: int, body: BinaryIO, moved: Progress) -> None:
        url, (offset, size_bytes) = chunks.job["url"], chunks.span(number)

        def put() -> None:
            part = span(body, offset, size_bytes, moved)
            self.store.put_chunk(url, number, part, size_bytes)

        self.call_retry(f"PUT chunk {number}", lambda: self.connections.send(size_bytes, put))

    def cancel(self, job: Job | None) -> None:
        """Cancel a job that is no longer needed; otherwise it would stay forever."""
        if not job:
            return
        for url in [job["url"]] if "url" in job else self._opened(job):
            self.call_retry("DELETE job", lambda url=url: self.store.cancel_job(url))  # type: ignore[misc]

    def sweep(self, left: Sequence[FileRecord]) -> None:
        """Cancel the jobs of files that will not be sent any more."""
        for record in left:
            self.cancel(record.job)
            self._note(record, None)

    def _finish(self, job: Job) -> str | None:
        def finish() -> str | None:
            return self.store.finish_job(job["url"], job["size_bytes"])

        try:
            return self.call_retry("finalize job", finish)
        except RefusedError as error:
            if error.status != _CONFLICT:
                raise
            # The server has different content, and it is not known which chunk is wrong.
            self.cancel(job)
            raise TransientError(error.what, f"{error.why}; the whole file is sent again") from None

    def _open(
        self, record: FileRecord, head: ObjectHead, chunk_bytes: int, notice: Callable[[str], None]
    ) -> dict[str, Any]:
        old = record.job
        if old and (old["md5"], old["name"]) == (head.md5, head.name):
            if found := self._resumed(record, old, notice):
                return found
        else:
            self.cancel(old)
        return self._new_job(record, head, chunk_bytes)

    def _resumed(
        self, record: FileRecord, old: Job, notice: Callable[[str], None]
    ) -> dict[str, Any] | None:
        """Return the started job, if it can be continued."""
        if "url" not in old:
            opened = self._opened(old)
            if not opened:
                return None
            url, chunk_bytes = next(iter(opened.items()))
            return self._note(record, {**old, "url": url, "chunk_bytes": chunk_bytes})
        about = self.call_retry("GET job", lambda: self.store.job(old["url"]))
        if about and not about.ours:
            notice(f"its upload job {old['url']} belongs to another identity: we cannot cancel it")
        return dict(old) if about and about.ours else None

    def _new_job(self, record: FileRecord, head: ObjectHead, chunk_bytes: int) -> dict[str, Any]:
        job = {
            "name": head.name,
            "md5": head.md5,
            "size_bytes": head.size_bytes,
            "chunk_bytes": chunk_bytes,
            "chunks": [],
        }
        before = self.call_retry("GET jobs", lambda: self.store.jobs(head.name))
        self._note(record, {**job, "before": before})
        url = self.call_retry("POST job", lambda: self.store.open_job(head, chunk_bytes))
        return self._note(record, {**job, "url": url})

    def _opened(self, job: Job) -> dict[str, int]:
        """Return the jobs that may be the one we were opening: URL → bytes per chunk.

        Another node with our credential may be sending the same content. Sharing its job is
        harmless: the chunks are identical, and whoever finishes second finds the version.
        """
        now = self.call_retry("GET jobs", lambda: self.store.jobs(job["name"]))
        found = {}
        for url in now:
            if url not in job["before"]:
                about = self.call_retry("GET job", lambda url=url: self.store.job(url))  # type: ignore[misc]
                if about and (about.md5, about.size_bytes) == (job["md5"], job["size_bytes"]):
                    found[url] = about.chunk_bytes
        return found

    def _note(self, record: FileRecord, job: dict[str, Any] | None) -> dict[str, Any]:
        self.journal.commit([NoteFile(record.id, {"job": job})])
        return job or {}


class _Chunks:
    """The chunks of one job; threads take the next missing one."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self._done = job, set(job["chunks"])
        count = chunk_count(job["chunk_bytes"], job["size_bytes"])
        self._missing = deque(number for number in range(count) if number not in self._done)
        self._noting = threading.Lock()

    def span(self, number: int) -> tuple[int, int]:
        """Return offset and length of a chunk, in bytes."""
        return chunk_span(number, self.job["chunk_bytes"], self.job["size_bytes"])

    def acknowledged_bytes(self) -> int:
        """Return how many bytes the server has."""
        return job_bytes(self.job)

    def left(self) -> int:
        """Return how many chunks are not taken yet."""
        return len(self._missing)

    def take(self) -> int | None:
        """Return the next chunk to send, or None."""
        try:
            return self._missing.popleft()
        except IndexError:
            return None

    def stop(self) -> None:
        """Prevent further chunks from being taken."""
        self._missing.clear()

    def note(self, number: int, write: Callable[[dict[str, Any]], object]) -> None:
        """Write down that the server has a chunk; one thread at a time: none is forgotten."""
        with self._noting:
            self._done.add(number)
            write(self.job | {"chunks": sorted(self._done)})


class _Helpers:
    """The chunks of one file that other threads send."""

    def __init__(self) -> None:
        self._futures: list[Future[None]] = []
        self._is_over = False
        self._lock = threading.Lock()

    def add(self, submit: Callable[[], Future[None]]) -> None:
        """Let one more help, unless it is over."""
        with self._lock:
            if not self._is_over:
                self._futures = [each for each in self._futures if not _went_well(each)]
                self._futures.append(submit())

    def end(self) -> None:
        """Cancel those that have not begun, and wait for the others."""
        with self._lock:
            self._is_over = True
        with waiting():
            wait([each for each in self._futures if not each.cancel()])

    def raise_error(self) -> None:
        """End, and raise the first error of one."""
        self.end()
        for each in self._futures:
            if not each.cancelled():
                each.result()


def _went_well(future: Future[None]) -> bool:
    return future.done() and not future.exception()
