"""The common parts of requests to the object store: preconditions, bodies, answers."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from deriva_watch.sandbox.hatrac.directory import Directory
from deriva_watch.sandbox.hatrac.metadata import Metadata, digest
from deriva_watch.sandbox.hatrac.names import Address
from deriva_watch.sandbox.hatrac.resources import Creation
from deriva_watch.sandbox.hatrac.storage import BLOCK_BYTES, Storage, Writer
from deriva_watch.sandbox.identity import Client
from deriva_watch.sandbox.refusal import RefusedError

JSON: Final = "application/json"
URI_LIST: Final = "text/uri-list"
HTML: Final = "text/html"
LARGEST_BODY_BYTES: Final = 128 << 20


@dataclass(frozen=True, slots=True)
class Store:
    """The two halves of the object store."""

    directory: Directory
    storage: Storage


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its address, sender and contents."""

    request: Request
    address: Address
    client: Client | None
    arrived_ns: int
    body: bytes = b""

    def creation(self, *, is_object: bool) -> Creation:
        """Return how to make the name in the address."""
        parents = self.request.query_params.get("parents", "").lower() == "true"
        return Creation(self.client, is_object, parents, self.arrived_ns)

    def touch(self, entries: int) -> None:
        """Record for the log how many entries the real server reads for this call."""
        self.request.state.entries = entries

    def read_again(self, nbytes: int) -> None:
        """Note how much content the server reads again for this call."""
        self.request.state.read_again_bytes = nbytes

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.request.headers.get("content-type", "").lower().partition(";")[0].strip()

    @property
    def has_small_body(self) -> bool:
        """Whether the body is known to fit into one block."""
        length = self.request.headers.get("content-length", "")
        return length.isdecimal() and int(length) <= BLOCK_BYTES

    def check_preconditions(self, version: str | None) -> None:
        """Compare ``If-Match`` and ``If-None-Match`` with the current *version*; None for none.

        Raises:
            RefusedError: 412; or 304 of a read.
        """
        etag = f'"{version}"'
        wanted, unwanted = (
            set(re.findall(r'"[^"]*"|\*', self.request.headers.get(header, "")))
            for header in ("if-match", "if-none-match")
        )
        is_known = version is not None and bool(unwanted & {etag, "*"})
        is_other = bool(wanted) and (version is None or not wanted & {etag, "*"})
        if (is_known or is_other) and self.request.method in {"GET", "HEAD"}:
            raise RefusedError(304, "", {"ETag": etag})  # measured: of If-Match, too
        if is_known or is_other:
            text = "Resource state does not match requested preconditions."
            raise RefusedError(412, text, {"ETag": etag})

    def body_bytes(self) -> int:
        """Return the length of the body, before it is read.

        Raises:
            RefusedError: 411, it is missing; 413, it is above the limit.
        """
        length = self.request.headers.get("content-length", "")
        if not length.isdecimal():
            raise RefusedError(411, "Content-Length header is required for this request.")
        if int(length) > LARGEST_BODY_BYTES:
            text = "Request body size is larger than the current limit defined by the server"
            raise RefusedError(413, f"{text}, which is {LARGEST_BODY_BYTES} bytes.")
        return int(length)


async def receive(request: Request, writer: Writer) -> bytes:
    """Write the body block by block in another thread; return the rest, less than a block."""
    pending = bytearray()
    async for piece in request.stream():
        pending += piece
        if len(pending) >= BLOCK_BYTES:
            await run_in_threadpool(writer.write, bytes(pending))
            pending.clear()
    return bytes(pending)


def check_digest(writer: Writer, metadata: Metadata) -> None:
    """Compare the received content with the MD5 sent by the client.

    Raises:
        RefusedError: 400.
    """
    expected = digest(metadata)
    if expected is not None and expected != writer.digest():
        received = writer.digest()
        text = f"Received content MD5 {received!r} does not match expected {expected!r}."
        raise RefusedError(400, text)


def created(resource: object) -> Response:
    """Answer 201 with the new URL."""
    url = str(resource)
    return Response(f"{url}\n", 201, {"Location": url}, URI_LIST)


def done() -> Response:
    """Answer 204."""
    return Response(status_code=204)


def listing(call: Call, resources: Iterable[object]) -> Response:
    """Answer a list of URLs: JSON, unless the client accepts exactly one other known type."""
    urls = [str(resource) for resource in resources]
    call.touch(len(urls))
    etag = {"ETag": f'"{hashlib.md5("".join(urls).encode()).hexdigest()}"'}  # noqa: S324  # a name
    match call.request.headers.get("accept", "").strip().lower():
        case "text/uri-list":
            return Response("".join(f"{url}\n" for url in urls), 200, etag, URI_LIST)
        case "text/html":
            items = "".join(f'<li><a href="{escape(url)}">{escape(url)}</a></li>' for url in urls)
            return Response(f"<html><body><ul>{items}</ul></body></html>\n", 200, etag, HTML)
    answer = as_json(urls)
    answer.headers.update(etag)
    return answer


def as_json(document: Any) -> Response:
    """Answer a JSON document."""
    return Response(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE), media_type=JSON)
