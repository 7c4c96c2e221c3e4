"""Stores a file in an object version that belongs to no other row."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from deriva_watch.core.changes import NoteFile
from deriva_watch.core.chunks import MAX_BODY_BYTES
from deriva_watch.core.errors import RefusedError, TransientError, WatchError
from deriva_watch.core.names import BEFORE, CONTENT_PATH
from deriva_watch.core.objects import ObjectHead, ObjectVersion
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.records import FileFacts, FileRecord
from deriva_watch.core.spec.templates import content_disposition, object_name, row
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.content import span
from deriva_watch.engine.content_locks import ContentLocks
from deriva_watch.engine.files.upload_jobs import Content, Jobs
from deriva_watch.engine.naming import content_bytes, known_names
from deriva_watch.engine.ports import Catalog, Journal, ObjectStore, Row

_NOT_FOUND = 404
_CONTESTS = 5  # how often a name may change meanwhile before we try again later


class _Claim(NamedTuple):
    """The use of an object version by a file, before the journal has it."""

    url: str
    statement: str


class RecordedMeanwhileError(WatchError):
    """An equal row was added to the catalog since we looked; it has to be adopted."""


@dataclass(frozen=True, slots=True)
class Source(Content):
    """A file that is sent.

    Attributes:
        verify: Checks the file again; if it raises, the version is not used.
        says: Returns whether one of the given rows has the same values as the file.
    """

    verify: Callable[[], None]
    says: Callable[[list[Row]], bool]


@dataclass(frozen=True, slots=True)
class Depositor:
    """Stores contents under names with their MD5, so that existing content is found by its name.

    A version that belongs to a row or to another file of ours is not used again: the same content
    of another asset becomes a new version. Whoever has stored a version claims it, in memory, until
    the journal has it.
    """

    store: ObjectStore
    catalog: Catalog
    journal: Journal
    call_retry: CallRetry
    jobs: Jobs
    chunk_bytes: int
    _claims: dict[int, _Claim] = field(default_factory=dict)  # by file
    _names: ContentLocks = field(default_factory=ContentLocks)

    def deposit(self, asset: AssetPlan, record: FileRecord, source: Source) -> FileFacts:
        """Make sure that an object version has the content, and claim it for the file.

        The claim is made while the name is locked, so that a second file with the same content
        sees that the version is used. It holds until `release`.

        Returns:
            What the journal has to know before a row names the version.

        Raises:
            RecordedMeanwhileError: Another uploader has uploaded it.
            RefusedError: The bulk spec cannot name the object, or make the row.
        """
        known, mapping = known_names(asset, record), asset.match.mapping
        row(asset.match, known)  # a row that cannot be made is refused before anything is sent
        head = ObjectHead(
            name=object_name(asset.match, known),
            size_bytes=content_bytes(record),
            md5=record.md5 or "",
            sha256=record.sha256 or "" if "sha256" in mapping.checksums else "",
            content_type="",
            file_name=PurePosixPath(str(known.get(CONTENT_PATH) or asset.path)).name,
            mime_types=mapping.general.mime_types,
            content_disposition=content_disposition(asset.match, known),
        )
        namespace = head.name.rpartition("/")[0]
        if mapping.options.create_parents:
            self._make(namespace)
        with self._names.locked(head.name, lambda: source.moved(0)):
            try:
                url = self._version(asset, record, head, source)
            except RefusedError as error:
                if error.status != _NOT_FOUND or not mapping.options.create_parents:
                    raise
                self.store.forget_namespace(namespace)  # deleted since we checked
                self._make(namespace)
                url = self._version(asset, record, head, source)
            source.verify()
            self._claims[record.id] = _Claim(url, asset.statement())
        return {"url": url, "job": None}

    def release(self, file_ids: Iterable[int]) -> None:
        """Drop the claims of files: the journal has their versions, or they are stored again."""
        for number in file_ids:
            self._claims.pop(number, None)

    def _holders(self, url: str, statement: str) -> frozenset[int]:
        """Return the files of another statement that use a version."""
        claims = self._claims.copy().items()  # first: a claim is dropped once the journal has it
        claimed = {n for n, each in claims if each.url == url and each.statement != statement}
        held = self.journal.holders([url], unlike=statement).get(url, frozenset())
        return held | claimed

    def _make(self, namespace: str) -> None:
        self.call_retry("PUT namespace", lambda: self.store.make_namespace(namespace))

    def _version(
        self, asset: AssetPlan, record: FileRecord, head: ObjectHead, source: Source
    ) -> str:
        chunk_bytes, in_chunks = self._chunk_bytes(asset), self.by_job(asset, record)
        forced = asset.match.mapping.options.force
        # A PUT requires an empty name; a job has no such check, so HEAD checks it.
        there = self._head(head.name) if in_chunks or forced else None
        if forced:
            record = self._noted(record, there)
        for _ in range(_CONTESTS):
            if there and self._is_free(there, head, asset, record, source):
                self.jobs.cancel(record.job)
                return there.url
            if in_chunks:
                url = self.jobs.send(record, head, source, chunk_bytes)
                record = replace(record, job=None)
            else:
                url = self._put(head, source, there.etag if there else None)
            if url:
                return url
            there = self._head(head.name)
        raise TransientError(
            what=f"cannot store {asset.path}", why=f"others keep writing to {head.name}"
        )

    def _put(self, head: ObjectHead, source: Source, replaces: str | None) -> str | None:
        def put() -> str | None:
            body = span(source.body, 0, head.size_bytes, source.moved)
            return self.store.put(head, body, replaces=replaces)

        send = self.jobs.connections.send
        return self.call_retry("PUT object", lambda: send(head.size_bytes, put))

    def by_job(self, asset: AssetPlan, record: FileRecord) -> bool:
        """Return whether a file is sent by an upload job."""
        size_bytes, begun = content_bytes(record), record.job is not None
        # A started job continues in chunks, even if the chunk size has changed.
        return begun or size_bytes > self._chunk_bytes(asset) or size_bytes == 0

    def _chunk_bytes(self, asset: AssetPlan) -> int:
        return min(asset.match.mapping.chunk_bytes or self.chunk_bytes, MAX_BODY_BYTES)

    def _head(self, name: str) -> ObjectVersion | None:
        return self.call_retry("HEAD object", lambda: self.store.head(name))

    def _is_free(
        self,
        there: ObjectVersion,
        head: ObjectHead,
        asset: AssetPlan,
        record: FileRecord,
        source: Source,
    ) -> bool:
        """Return whether a version has our content and belongs to no other asset."""
        same = (there.md5, there.size_bytes) == (head.md5, head.size_bytes)
        if asset.by_templates:
            return self._may_serve(there, asset, record, same=same)
        if not same:
            return False
        # It may be the version of an equal file that has no row yet: that is ours too.
        held = self._holders(there.url, asset.statement())
        if held and not (record.url == there.url and record.id <= min(held)):
            return False
        rows = self.call_retry(
            "GET rows by MD5", lambda: self.catalog.rows_with(asset.table, "MD5", [head.md5])
        )
        if source.says(rows):
            raise RecordedMeanwhileError(asset.path)
        return all(row["URL"] != there.url for row in rows)

    def _may_serve(
        self, there: ObjectVersion, asset: AssetPlan, record: FileRecord, *, same: bool
    ) -> bool:
        """Return whether `hatrac_options` allow the use of a version for a file."""
        options = asset.match.mapping.options
        if options.force:
            return same and there.url != (record.names or {}).get(
                BEFORE
            )  # ours, from before a crash
        if not same and not options.allow_versioning:
            raise RefusedError(
                f"cannot store {asset.path}",
                f"{there.url} has different content, and the bulk spec allows one version only",
                "Rename the file, or allow versions in the specification.",
            )
        return same

    def _noted(self, record: FileRecord, there: ObjectVersion | None) -> FileRecord:
        """Journal the version before a forced one, so that a crash does not force two."""
        names = record.names or {}
        if BEFORE in names:
            return record
        names = {**names, BEFORE: there.url if there else ""}
        self.journal.commit([NoteFile(record.id, {"names": names})])
        return replace(record, names=names)
