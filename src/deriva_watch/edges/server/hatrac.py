"""Hatrac: stores objects and their versions, whole or in chunks."""

import json
import mimetypes
import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cache
from mimetypes import MimeTypes
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit

from deriva_watch.core.errors import FileChangedError, RefusedError, ServerBusyError, TransientError
from deriva_watch.core.objects import ObjectHead, ObjectVersion, UploadJob
from deriva_watch.edges.server.adapter import BLOCK_BYTES
from deriva_watch.edges.server.answer_shapes import json_object, json_texts, reading
from deriva_watch.edges.server.bandwidth import Bandwidth
from deriva_watch.edges.server.deriva import Server

_THERE, _FORBIDDEN, _MISSING, _CONFLICT, _CHANGED = 200, 403, 404, 409, 412
_BYTES: Final = {"Content-Type": "application/octet-stream"}
_JSON: Final = {"Content-Type": "application/json"}
_EMPTY: Final = {"Content-Length": "0"}
# Hatrac reads the content again when a job ends: 10 s for a gigabyte on a slow disk.
_FINISH_S: Final = 60.0
_FINISH_S_PER_BYTE: Final = 0.010 / 1_000_000
_NAMESPACE_TYPE: Final = "application/x-hatrac-namespace"
# On the name of an object, the type alone would replace its content by nothing (measured).
_NAMESPACE: Final = {"Content-Type": _NAMESPACE_TYPE, "If-None-Match": "*"}


class Part:
    """The next bytes of a file as the body of one request.

    If the file has grown, no more bytes are sent: the server would take them for the next request.
    If it has shrunk, reading fails, so that the server does not wait for the rest.
    """

    def __init__(self, body: BinaryIO, size_bytes: int, bandwidth: Bandwidth) -> None:
        self._body, self._size_bytes, self._bandwidth = body, size_bytes, bandwidth
        self._start, self._done = body.tell(), 0

    def __len__(self) -> int:
        return self._size_bytes

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._done

    def seek(self, offset: int) -> None:
        """Go back, so that the request can be repeated."""
        self._body.seek(self._start + offset)
        self._done = offset

    def read(self, size: int) -> bytes:
        """Return at most *size* of the remaining bytes."""
        left = self._size_bytes - self._done
        try:
            data = self._body.read(self._bandwidth.piece_bytes(min(size, left)))
        except OSError as error:  # OSError would look like an error of the network
            raise FileChangedError(f"it can no longer be read: {error.strerror}") from error
        if left and not data:
            raise FileChangedError(f"it ended {left} bytes early")
        self._done += len(data)
        self._bandwidth.wait(len(data))
        return data


class Hatrac:
    """The object store of a server; implements `engine.ports.ObjectStore`. Threads share one."""

    def __init__(self, server: Server, bandwidth: Bandwidth | None = None) -> None:
        from deriva.core import HatracStore

        self._server = server
        self._bandwidth = bandwidth or Bandwidth()
        self._store = server.bind(HatracStore)
        self._namespaces: set[str] = set()  # known to exist
        self._locks: dict[str, threading.Lock] = {}  # by namespace: one caller at a time

    def head(self, name: str) -> ObjectVersion | None:
        """Return the current version, or None where the name has no content."""
        try:
            with self._asking(f"look at {name}"):
                answer = self._server.wire.call("HEAD", name, {})
                with reading(f"HEAD {name}", "that of an object"):
                    return _version_in(answer.headers, name)
        except RefusedError as error:
            # 409: the name is reserved by a failed PUT or an unfinished job.
            if error.status in {_MISSING, _CONFLICT}:
                return None
            raise

    def read(self, url: str, first: int, size_bytes: int) -> bytes:
        """Return bytes of a version from *first* on; fewer if it ends, or breaks off, early."""
        with self._asking(f"read {url}"):
            return self._server.get_part(url, first, size_bytes)

    def ping(self) -> None:
        """Send a cheap request; raises like every call if the store does not answer."""
        self.namespace_status("/hatrac/")

    def make_namespace(self, name: str) -> None:
        """Create the namespace with its parents, unless it exists.

        The server is asked once per namespace and process. It is asked before the PUT, because
        an account that may write into a namespace need not be allowed to create one; and again
        after a failed PUT, because of two concurrent ones the server answers one with 500
        (measured).
        """
        with self._locks.setdefault(name, threading.Lock()):
            if name in self._namespaces:
                return
            if self.namespace_status(name) == _MISSING:
                try:
                    with self._asking(f"make the namespace {name}"):
                        self._store.put(f"{name}?parents=true", headers=_NAMESPACE)
                except (RefusedError, TransientError):
                    if self.namespace_status(name) == _MISSING:
                        raise
            self._namespaces.add(name)

    def forget_namespace(self, name: str) -> None:
        """Ask for the namespace again before its next use: the server says it is gone."""
        self._namespaces.discard(name)

    def put(self, head: ObjectHead, body: BinaryIO, *, replaces: str | None = None) -> str | None:
        """Store a version and return its URL; None if the name has other content by now (412).

        Raises:
            FileChangedError: *body* ends before `head.size_bytes`.
        """
        condition = {"If-Match": replaces} if replaces else {"If-None-Match": "*"}
        disposition = head.content_disposition
        headers = {
            "Content-MD5": _base64(head.md5),
            **({"Content-SHA256": _base64(head.sha256)} if head.sha256 else {}),
            "Content-Type": _content_type(head),
            **({"Content-Disposition": disposition} if disposition else {}),
            **condition,
        }
        try:
            with self._asking(f"store {head.name}"):
                stored = self._put(head.name, headers, body, head.size_bytes)
        except RefusedError as error:
            if error.status == _CHANGED:
                return None
            if error.status == _CONFLICT and "already in use" in error.why:
                raise ServerBusyError(error.what, error.why) from None
            raise
        return _path(stored, "Location", head.name)

    def open_job(self, head: ObjectHead, chunk_bytes: int) -> str:
        """Create an upload job and return its URL.

        The job has the MD5; without it, Hatrac finishes a job that lacks a chunk (measured).
        """
        disposition = head.content_disposition
        job = {
            "chunk-length": chunk_bytes,
            "content-length": head.size_bytes,
            "content-md5": _base64(head.md5),
            **({"content-sha256": _base64(head.sha256)} if head.sha256 else {}),
            "content-type": _content_type(head),
            **({"content-disposition": disposition} if disposition else {}),
        }
        with self._asking(f"start to upload {head.name}"):
            made = self._server.wire.call(
                "POST", f"{head.name};upload", _JSON, json.dumps(job).encode()
            ).headers
        return _path(made, "Location", head.name)

    def job(self, job: str) -> UploadJob | None:
        """Return an open job; None if it was finished or cancelled."""
        try:
            with self._asking(f"look at {job}"):
                answer = self._store.get(job)
                said = json_object(answer)
                with reading(answer, "an upload job"):
                    return _job_in(said)
        except RefusedError as error:
            if error.status in {_FORBIDDEN, _MISSING}:
                return UploadJob(ours=False) if error.status == _FORBIDDEN else None
            raise

    def jobs(self, name: str) -> list[str]:
        """Return the open jobs of an object; an empty list if we may not see them."""
        try:
            with self._asking(f"list the upload jobs of {name}"):
                return json_texts(self._store.get(f"{name};upload"))
        except RefusedError as error:
            if error.status in {_FORBIDDEN, _MISSING}:
                return []
            raise

    def put_chunk(self, job: str, number: int, body: BinaryIO, size_bytes: int) -> None:
        """Send the next *size_bytes* of *body* as chunk *number*; sending it again overwrites it.

        Raises:
            FileChangedError: *body* ends before that.
        """
        with self._asking(f"send chunk {number} of {job}"):
            self._put(f"{job}/{number}", _BYTES, body, size_bytes)

    def finish_job(self, job: str, size_bytes: int) -> str | None:
        """Finish a job and return the version's URL; None if there is no such job.

        Hatrac reads the whole content again before it answers.
        """
        timeout_s = _FINISH_S + _FINISH_S_PER_BYTE * size_bytes
        try:
            with self._asking(f"finish {job}"):
                stored = self._server.wire.call("POST", job, _EMPTY, None, timeout_s).headers
        except RefusedError as error:
            if error.status == _MISSING:
                return None
            raise
        return _path(stored, "Location", job)

    def cancel_job(self, job: str) -> None:
        """Cancel an unfinished job; do nothing if it is gone or belongs to another identity."""
        try:
            with self._asking(f"cancel {job}"):
                self._store.delete(job)
        except RefusedError as error:
            if error.status not in {_FORBIDDEN, _MISSING}:
                raise

    def namespace_status(self, name: str) -> int:
        """Return 200, 403 or 404 for a namespace; 403 means that it exists and belongs to others.

        Its access lists are asked for. HEAD of a namespace would make the server list all its
        children: 30 s at 50,000 (measured).
        """
        try:
            with self._asking(f"look for {name}"):
                self._store.get(f"{name};acl")
        except RefusedError as error:
            if error.status in {_FORBIDDEN, _MISSING}:
                return error.status
            raise
        return _THERE

    def _put(
        self, path: str, headers: Mapping[str, str], body: BinaryIO, size_bytes: int
    ) -> Mapping[str, str]:
        """PUT *size_bytes* of *body*, and return the headers of the answer.

        A small body is sent as bytes, which is faster.
        """
        part, is_large = Part(body, size_bytes, self._bandwidth), size_bytes > BLOCK_BYTES
        whole = part if is_large else b"".join(iter(lambda: part.read(size_bytes), b""))
        return self._server.wire.call(
            "PUT", path, {**headers, "Content-Length": str(size_bytes)}, whole
        ).headers

    def _asking(self, what: str) -> AbstractContextManager[None]:
        return self._server.asking(f"cannot {what}")


def _version_in(headers: Mapping[str, str], name: str) -> ObjectVersion:
    return ObjectVersion(
        url=_path(headers, "Content-Location", name),
        etag=headers["ETag"],
        # Apache omits the length if it is zero (measured).
        size_bytes=int(headers.get("Content-Length", 0)),
        md5=_hexadecimal(headers.get("Content-MD5")),
    )


def _job_in(said: Mapping[str, Any]) -> UploadJob:
    return UploadJob(
        ours=True,
        md5=_hexadecimal(said.get("content-md5")),
        size_bytes=int(said["content-length"]),
        chunk_bytes=int(said["chunk-length"]),
    )


def _hexadecimal(base64: str | None) -> str | None:
    return b64decode(base64, validate=True).hex() if base64 else None


def _base64(hexadecimal: str) -> str:
    return b64encode(bytes.fromhex(hexadecimal)).decode("ascii")


def _content_type(head: ObjectHead) -> str:
    if head.content_type and head.content_type != _NAMESPACE_TYPE:  # it would make a namespace
        return head.content_type
    named = tuple((kind, tuple(extensions)) for kind, extensions in head.mime_types.items())
    name = head.file_name or unquote(head.name.rpartition("/")[2])
    kind, encoding = _types(named).guess_type(f"/{name}", strict=False)
    # Like deriva's own guess: a compressed file has both types.
    return "+".join(part for part in (kind, encoding) if part) or "application/octet-stream"


@cache
def _types(named: tuple[tuple[str, tuple[str, ...]], ...]) -> MimeTypes:
    """Return the MIME types of this system and those of the bulk spec."""
    mimetypes.init()
    types = MimeTypes(filter(os.path.isfile, mimetypes.knownfiles))
    for kind, extensions in named:
        for extension in extensions:
            types.add_type(kind, extension)
    return types


def _path(headers: Mapping[str, str], field: str, name: str) -> str:
    """Return the path in a header that Hatrac sends with every object."""
    if field not in headers:
        what, why = f"cannot use the answer about {name}", f"it has no {field}"
        raise ServerBusyError(
            what, f"{why}: the server is not an object store, or the name is a namespace"
        )
    location = headers[field]
    return urlsplit(location).path if "://" in location else location
