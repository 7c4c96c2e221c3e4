"""Upload jobs: send content in chunks, starting with the first that is not acknowledged.

The server does not tell which chunks it has, nor which job it opened if the answer was lost. The
journal records each chunk, and the existing jobs before a new one is opened. After a crash, every
job is known.
"""

from collections.abc import Callable, Mapping, Sequence
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
from deriva_watch.engine.content import Progress, span
from deriva_watch.engine.ports import Journal, ObjectStore

_CONFLICT = 409
Job = Mapping[str, Any]  # as in the journal; without "url" while it is being opened


@dataclass(frozen=True, slots=True)
class Jobs:
    """Sends content by upload jobs, and cancels jobs that are no longer needed."""

    store: ObjectStore
    journal: Journal
    call_retry: CallRetry

    def send(
        self,
        record: FileRecord,
        head: ObjectHead,
        body: tuple[BinaryIO, Progress],
        chunk_bytes: int,
        notice: Callable[[str], None],
    ) -> str | None:
        """Send a content and return its version's URL; None if the job is gone.

        Args:
            record: The file.
            head: Its object.
            body: Its bytes, and the function to call with the number of bytes sent.
            chunk_bytes: For a new job; a resumed one keeps its chunk size.
            notice: Called with text for people.
        """
        job = self._open(record, head, chunk_bytes, notice)
        job["resumed"] = {"at": datetime.now(UTC).isoformat(), "bytes": job_bytes(job)}
        length, done = job["chunk_bytes"], set(job["chunks"])
        file, moved = body
        for number in range(chunk_count(length, head.size_bytes)):
            offset, size_bytes = chunk_span(number, length, head.size_bytes)
            if number in done:
                moved(size_bytes)
                continue
            self.call_retry(
                f"PUT chunk {number}",
                lambda number=number, offset=offset, size_bytes=size_bytes: self.store.put_chunk(  # type: ignore[misc]
                    job["url"], number, span(file, offset, size_bytes, moved), size_bytes
                ),
            )
            done.add(number)
            self._note(record, job | {"chunks": sorted(done)})
        url = self._finish(job)
        if url is None:
            self._note(record, None)
        return url

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
        try:
            return self.call_retry("finalize job", lambda: self.store.finish_job(job["url"]))
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
