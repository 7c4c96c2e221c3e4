"""Upload jobs: content in chunks, in any order, over any number of connections."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from deriva_watch.sandbox.hatrac.exchange import (
    JSON,
    Call,
    Store,
    as_json,
    check_digest,
    created,
    done,
    listing,
    receive,
)
from deriva_watch.sandbox.hatrac.metadata import Metadata, digest, read_metadata
from deriva_watch.sandbox.hatrac.names import check_storable
from deriva_watch.sandbox.hatrac.resources import Content, Name
from deriva_watch.sandbox.hatrac.storage import Writer, new_version
from deriva_watch.sandbox.refusal import RefusedError


def create(store: Store, call: Call) -> Response:
    """Open a job. Preconditions are ignored, and an object can have several jobs."""
    description = _description(call)
    chunk_bytes = _count(description, "chunk-length")
    nbytes = _count(description, "content-length")
    name = _object(store, call)
    metadata = read_metadata(description)
    name.enforce(call.client, "owner", "update")
    check_storable(name.name)
    owner = call.client.id if call.client else ""
    job = Content(new_version(), name.name, nbytes, metadata, owner, chunk_bytes)
    store.storage.reserve(job.id)
    store.directory.open_job(job)
    return created(job)


def _description(call: Call) -> Mapping[str, Any]:
    if call.content_type != JSON:
        raise RefusedError(400, "Only application/json input is accepted for upload jobs.")
    try:
        description = orjson.loads(call.body)
    except ValueError as error:
        raise RefusedError(400, f"Error reading JSON input: {error}") from None
    if not isinstance(description, dict):
        raise RefusedError(400, "Job input must be a flat JSON object.")
    return description


def _count(description: Mapping[str, Any], field: str) -> int:
    try:
        count = int(description[field])
    except KeyError:
        raise RefusedError(400, f"Missing required field '{field}'.") from None
    except (TypeError, ValueError) as error:
        raise RefusedError(400, f"Invalid count: {error}.") from None
    if count < (1 if field == "chunk-length" else 0):
        raise RefusedError(400, f"Invalid count: {count}.")
    return count


def _object(store: Store, call: Call) -> Name:
    """Return the object of the job; make it, without content, if it does not exist."""
    try:
        return store.directory.create(call.address.name, call.creation(is_object=True))
    except RefusedError as refusal:
        if refusal.status != HTTPStatus.CONFLICT:
            raise
    try:
        name = store.directory.find(call.address.name)
    except RefusedError:
        raise RefusedError(409, f"Name {call.address.name} is not available for use.") from None
    return _with_uploads(name)


def _with_uploads(name: Name) -> Name:
    if not name.is_object:
        raise RefusedError(404, f"Uploads sub-resource on {name} not available.")
    return name


def list_open(store: Store, call: Call) -> Response:
    """List the open jobs of an object."""
    name = _with_uploads(store.directory.find(call.address.name))
    name.enforce(call.client, "owner")
    return listing(call, store.directory.jobs(name.name))


def status(store: Store, call: Call) -> Response:
    """Describe a job, without the chunks that have arrived."""
    job = _own_job(store, call)
    return as_json(
        {
            "url": str(job),
            "target": str(store.directory.find(job.name)),
            "owner": [job.owner],
            "chunk-length": job.chunk_bytes,
            "content-length": job.nbytes,
            **job.metadata,
        }
    )


def _own_job(store: Store, call: Call) -> Content:
    store.directory.find(call.address.name)
    job = store.directory.job(call.address.name, call.address.rest[0])
    job.enforce_owner(call.client)
    return job


async def put_chunk(store: Store, call: Call) -> Response:
    """Store one chunk; it may be sent again.

    Measured: the bytes are stored before their own MD5 is checked, so a chunk that was
    refused for its MD5 must be sent again.
    """
    metadata, writer = await run_in_threadpool(_prepare_chunk, store, call)
    try:
        rest = await receive(call.request, writer)
        await run_in_threadpool(_finish_chunk, writer, rest)
    finally:
        writer.discard()
    check_digest(writer, metadata)
    return done()


def _prepare_chunk(store: Store, call: Call) -> tuple[Metadata, Writer]:
    text = call.address.rest[1]
    if not text.isdecimal():
        raise RefusedError(400, f"Invalid chunk number {text}.")
    number, length = int(text), call.body_bytes()
    job = _own_job(store, call)
    check_chunk(job, number, length)
    metadata = read_metadata(call.request.headers)
    return metadata, store.storage.chunk_writer(job.id, number * (job.chunk_bytes or 0))


def check_chunk(job: Content, number: int, length: int) -> None:
    """Refuse a chunk of the wrong size or number.

    Measured: the last chunk may have any length.

    Raises:
        RefusedError: 409.
    """
    chunk_bytes = job.chunk_bytes or 1
    chunks = -(-job.nbytes // chunk_bytes)
    if number >= chunks:
        raise RefusedError(409, f"Uploaded chunk number {number} out of range.")
    if number < chunks - 1 and length != chunk_bytes:
        raise RefusedError(
            409,
            f"Uploaded chunk byte count {length} does not match job chunk size {chunk_bytes}.",
        )


def _finish_chunk(writer: Writer, rest: bytes) -> None:
    writer.write(rest)
    writer.commit()


def finalize(store: Store, call: Call) -> Response:
    """Make the version, which has the name of the job.

    Measured: only the job's ``content-md5`` is checked. Without it, missing chunks are
    accepted and read as zeros. A mismatch leaves the job open.
    """
    job = _own_job(store, call)
    call.read_again(job.nbytes)
    received, expected = store.storage.finish(job.id), digest(job.metadata)
    if expected not in (None, received):
        raise RefusedError(
            409,
            f"Current uploaded content MD5 {received.hex().encode()!r} does not match "
            f"expected {(expected or b'').hex().encode()!r}.",
        )
    version = Content(job.id, job.name, job.nbytes, job.metadata, job.owner)
    store.directory.close_job(job, version)
    return created(version)


def cancel(store: Store, call: Call) -> Response:
    """Cancel a job; the name of its object stays."""
    job = _own_job(store, call)
    store.directory.close_job(job, None)
    store.storage.remove(job.id)
    return done()
