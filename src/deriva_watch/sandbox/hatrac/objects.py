"""Makes, reads, lists and deletes namespaces and objects."""

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from deriva_watch.sandbox.hatrac.exchange import (
    Call,
    Store,
    check_digest,
    created,
    done,
    listing,
    receive,
)
from deriva_watch.sandbox.hatrac.metadata import DEFAULT_TYPE, HASH_BYTES, read_metadata
from deriva_watch.sandbox.hatrac.names import PREFIX, check_storable
from deriva_watch.sandbox.hatrac.ranges import requested_part
from deriva_watch.sandbox.hatrac.resources import Content, Name
from deriva_watch.sandbox.hatrac.storage import Writer, new_version
from deriva_watch.sandbox.refusal import RefusedError

NAMESPACE_TYPE: Final = "application/x-hatrac-namespace"
PRESENT: Final = "*"  # a namespace has no version, but conditions notice that it exists


async def put(store: Store, call: Call) -> Response:
    """Make a namespace, or a new version of an object: always a new one.

    Measured: the server never compares contents. A PUT that is refused for its body or
    its headers leaves a new name behind, without content.
    """
    if call.has_small_body:  # one switch of threads instead of two
        return await run_in_threadpool(_put_small, store, call, await call.request.body())
    prepared = await run_in_threadpool(_prepare, store, call)
    if isinstance(prepared, Name):
        return created(prepared)
    content, writer = prepared
    try:
        rest = await receive(call.request, writer)
        await run_in_threadpool(_finish, store, content, writer, rest)
    finally:
        writer.discard()
    return created(content)


def _put_small(store: Store, call: Call, body: bytes) -> Response:
    prepared = _prepare(store, call)
    if isinstance(prepared, Name):
        return created(prepared)
    content, writer = prepared
    try:
        _finish(store, content, writer, body)
    finally:
        writer.discard()
    return created(content)


def _prepare(store: Store, call: Call) -> Name | tuple[Content, Writer]:
    """Do everything before the body is read; return a namespace, or where to write the body."""
    name = _find_or_create(store, call)
    if not name.is_object:
        return name
    length = call.body_bytes()
    metadata = read_metadata(call.request.headers)
    name.enforce(call.client, "owner", "update")
    check_storable(name.name)
    owner = call.client.id if call.client else ""
    content = Content(new_version(), name.name, length, metadata, owner)
    return content, store.storage.writer(content.id)


def _find_or_create(store: Store, call: Call) -> Name:
    try:
        name = store.directory.find(call.address.name)
    except RefusedError:
        call.check_preconditions(None)
        creation = call.creation(is_object=call.content_type != NAMESPACE_TYPE)
        return store.directory.create(call.address.name, creation)
    if not name.is_object:
        call.touch(len(store.directory.children(name.name)))  # measured: as slow as a listing
        name.enforce_own(
            call.client, "owner"
        )  # measured: 403 even for the owner of the namespace above
        call.check_preconditions(PRESENT)
        raise RefusedError(409, f"Namespace {name} already exists.")
    versions = store.directory.versions(name.name)
    call.check_preconditions(versions[0].id if versions else None)
    return name


def _finish(store: Store, content: Content, writer: Writer, rest: bytes) -> None:
    writer.write(rest)
    check_digest(writer, content.metadata)
    writer.commit()
    store.directory.add_version(content)


def get(store: Store, call: Call) -> Response:
    """Return an object's content, or the list of a namespace."""
    name = store.directory.find(call.address.name)
    if not name.is_object:
        if call.address.version:
            raise RefusedError(500, f"{name} is a namespace and has no versions.")
        if call.client is None:
            raise RefusedError(401, f"Authentication required for access to {name}")
        # Measured: HEAD costs as much as GET, time for every child.
        return listing(call, [PREFIX + each for each in store.directory.children(name.name)])
    content = store.directory.version(name.name, call.address.version)
    call.check_preconditions(content.id)
    content.enforce_read(call.client, name)
    part = requested_part(call.request.headers.get("range"), content.nbytes)
    status, headers = 200, _headers(content)
    if part:
        status, headers["Content-Range"] = 206, f"bytes {part.start}-{part.stop - 1}/{part.total}"
    if (
        call.request.method == "HEAD"
    ):  # measured: the length and the hashes are those of the whole object
        # Measured: Apache omits a zero.
        length = {"Content-Length": str(content.nbytes)} if content.nbytes else {}
        response = Response(status_code=status, headers=headers | length)
        if not content.nbytes:
            del response.headers["Content-Length"]
        return response
    # A chunk missing at the end is not in the file, although the length includes it.
    stored_bytes = store.storage.file(content.id).stat().st_size
    start, nbytes = (part.start, part.nbytes) if part else (0, stored_bytes)
    blocks = store.storage.read(content.id, start, nbytes)
    if part:  # measured: a part cannot be checked by its headers
        for each in HASH_BYTES:
            headers.pop(each.title(), None)
    return StreamingResponse(blocks, status, {**headers, "Content-Length": str(nbytes)})


def _headers(content: Content) -> dict[str, str]:
    last = content.name.rpartition("/")[2]
    return {
        "Content-Type": DEFAULT_TYPE,
        "Content-Disposition": f"filename*=UTF-8''{last}",
        **{name.title(): value for name, value in content.metadata.items()},
        "Content-Location": str(content),
        "ETag": f'"{content.id}"',
        "Accept-Ranges": "bytes",
        "Vary": "cookie",
    }


def delete(store: Store, call: Call) -> Response:
    """Delete a name permanently, or one version."""
    name = store.directory.find(call.address.name)
    if not name.name:
        raise RefusedError(403, f"Root service namespace {name} cannot be deleted.")
    if call.address.version:
        content = store.directory.version(name.name, call.address.version)
        call.check_preconditions(content.id)
        name.enforce(call.client, "owner")
        store.directory.delete_version(content)
        gone = [content]
    else:
        if name.is_object:
            versions = store.directory.versions(name.name)
            call.check_preconditions(versions[0].id if versions else None)
        gone = store.directory.delete(call.client, name)
    for content in gone:
        store.storage.remove(content.id)
    return done()


def versions(store: Store, call: Call) -> Response:
    """List the versions of an object."""
    name = store.directory.find(call.address.name)
    if not name.is_object:
        raise RefusedError(404, f"Versions sub-resource on {name} not available.")
    name.enforce(call.client, "owner")
    return listing(call, store.directory.versions(name.name))
