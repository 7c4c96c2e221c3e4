"""Upload jobs: content in chunks, from the first that is not acknowledged.

The server tells neither which chunks it has nor, once an answer is lost, which job it opened. So
the journal has each chunk, and before a job is opened what jobs there were: a crash leaves none
behind that nobody knows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

from deriva_watch.core.chunks import chunk_count, chunk_span
from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.objects import ObjectHead
from deriva_watch.core.records import FileRecord, NoteFile
from deriva_watch.core.stats.throughput import job_bytes
from deriva_watch.engine.call_retry import Patience
from deriva_watch.engine.content import Progress, span
from deriva_watch.engine.ports import Journal, ObjectStore

_CONFLICT = 409
Job = Mapping[str, Any]  # as in the journal: without "url" while it is being opened


@dataclass(frozen=True, slots=True)
class Jobs:
    """Sends by upload jobs, and cancels those that are not needed any more."""

    store: ObjectStore
    journal: Journal
    patience: Patience

    def send(
        self,
        record: FileRecord,
        head: ObjectHead,
        body: tuple[BinaryIO, Progress],
        chunk_bytes: int,
        notice: Callable[[str], None],
    ) -> str | None:
        """Send a content and return its version's URL; None: the job is gone, HEAD tells why.

        Args:
            record: The file.
            head: Its object.
            body: Its bytes, and what is told how many of them were sent.
            chunk_bytes: For a new job; one that was begun goes on as it began.
            notice: Takes what a person should know.
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
            self.patience(
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
        """Cancel a job that is not needed any more: by itself it would stay for ever."""
        if not job:
            return
        for url in [job["url"]] if "url" in job else self._opened(job):
            self.patience("DELETE job", lambda url=url: self.store.cancel_job(url))  # type: ignore[misc]

    def sweep(self, left: Sequence[FileRecord]) -> None:
        """Cancel the jobs of files that nobody will send any more."""
        for record in left:
            self.cancel(record.job)
            self._note(record, None)

    def _finish(self, job: Job) -> str | None:
        try:
            return self.patience("finalize job", lambda: self.store.finish_job(job["url"]))
        except RefusedError as error:
            if error.status != _CONFLICT:
                raise
            # What the server has is not the content, and nobody knows which chunk is wrong.
            self.cancel(job)
            raise TransientError(error.what, f"{error.why}; all of it is sent again") from None

    def _open(
        self, record: FileRecord, head: ObjectHead, chunk_bytes: int, notice: Callable[[str], None]
    ) -> dict[str, Any]:
        old = record.job
        if old and (old["md5"], old["name"]) == (head.md5, head.name):
            if found := self._resumed(record, old, notice):
                return found
        else:
            self.cancel(old)
        return self._opened_anew(record, head, chunk_bytes)

    def _resumed(
        self, record: FileRecord, old: Job, notice: Callable[[str], None]
    ) -> dict[str, Any] | None:
        """Return the job that was begun, if it can be gone on with."""
        if "url" not in old:
            opened = self._opened(old)
            if not opened:
                return None
            url, chunk_bytes = next(iter(opened.items()))
            return self._note(record, {**old, "url": url, "chunk_bytes": chunk_bytes})
        about = self.patience("GET job", lambda: self.store.job(old["url"]))
        if about and not about.ours:
            notice(f"its upload job {old['url']} is another identity's: we cannot cancel it")
        return dict(old) if about and about.ours else None

    def _opened_anew(
        self, record: FileRecord, head: ObjectHead, chunk_bytes: int
    ) -> dict[str, Any]:
        job = {
            "name": head.name,
            "md5": head.md5,
            "size_bytes": head.size_bytes,
            "chunk_bytes": chunk_bytes,
            "chunks": [],
        }
        before = self.patience("GET jobs", lambda: self.store.jobs(head.name))
        self._note(record, {**job, "before": before})
        url = self.patience("POST job", lambda: self.store.open_job(head, chunk_bytes))
        return self._note(record, {**job, "url": url})

    def _opened(self, job: Job) -> dict[str, int]:
        """Return the jobs that may be the one we were opening: URL → bytes of a chunk.

        Another node with our credential may send the same content at this moment. To share its
        job is harmless: the chunks are the same bytes, and who finishes second finds the version.
        """
        now = self.patience("GET jobs", lambda: self.store.jobs(job["name"]))
        found = {}
        for url in now:
            if url not in job["before"]:
                about = self.patience("GET job", lambda url=url: self.store.job(url))  # type: ignore[misc]
                if about and (about.md5, about.size_bytes) == (job["md5"], job["size_bytes"]):
                    found[url] = about.chunk_bytes
        return found

    def _note(self, record: FileRecord, job: dict[str, Any] | None) -> dict[str, Any]:
        self.journal.commit([NoteFile(record.id, {"job": job})])
        return job or {}
