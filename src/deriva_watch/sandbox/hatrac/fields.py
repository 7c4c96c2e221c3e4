"""``;metadata``: the metadata of an object, field by field."""

from starlette.responses import Response

from deriva_watch.sandbox.hatrac.exchange import Call, Store, as_json, done
from deriva_watch.sandbox.hatrac.metadata import HASH_BYTES, read_metadata
from deriva_watch.sandbox.hatrac.resources import Content
from deriva_watch.sandbox.refusal import RefusedError


def get(store: Store, call: Call) -> Response:
    """Return all fields, or one as text."""
    content = _content(store, call)
    content.enforce_read(call.client, store.directory.find(call.address.name))
    if not call.address.rest:
        return as_json(content.metadata)
    return Response(f"{_value(content, call)}\n", media_type="text/plain")


def put(store: Store, call: Call) -> Response:
    """Set a field; a hash only if there is none."""
    content = _content(store, call)
    content.enforce_owner(call.client)
    if call.content_type != "text/plain":
        raise RefusedError(400, "Only text/plain input is accepted for metadata.")
    name = call.address.rest[0]
    if name in HASH_BYTES and name in content.metadata:
        raise RefusedError(501, "This sandbox changes no hash.")
    field = read_metadata({name: call.body.decode()})
    if not field:
        raise RefusedError(400, f"Unknown metadata field {name}.")
    store.directory.set_metadata(content, content.metadata | field)
    return done()


def delete(store: Store, call: Call) -> Response:
    """Remove a field."""
    content = _content(store, call)
    content.enforce_owner(call.client)
    _value(content, call)
    left = {name: value for name, value in content.metadata.items() if name != call.address.rest[0]}
    store.directory.set_metadata(content, left)
    return done()


def _content(store: Store, call: Call) -> Content:
    name = store.directory.find(call.address.name)
    if not name.is_object:
        raise RefusedError(404, "Namespaces do not have metadata sub-resources.")
    return store.directory.version(name.name, call.address.version)


def _value(content: Content, call: Call) -> str:
    name = call.address.rest[0]
    if name not in content.metadata:
        raise RefusedError(404, f"Metadata field {content};metadata/{name} not found.")
    return content.metadata[name]
