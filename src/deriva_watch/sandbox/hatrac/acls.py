"""Access control lists of namespaces and objects."""

from dataclasses import replace

import orjson
from starlette.responses import Response

from deriva_watch.sandbox.hatrac.exchange import Call, Store, as_json, done
from deriva_watch.sandbox.hatrac.resources import Name, check_member
from deriva_watch.sandbox.refusal import RefusedError


def get(store: Store, call: Call) -> Response:
    """Return all lists, one list, or one member."""
    name = _owned(store, call)
    if not call.address.rest:
        return as_json({access: name.acls.get(access, []) for access in name.lists})
    members = _members(name, call)
    if len(call.address.rest) == 1:
        return as_json(members)
    return Response(f"{_member(name, call, members)}\n", media_type="text/plain")


def put(store: Store, call: Call) -> Response:
    """Replace a list, or add a member."""
    name = _owned(store, call)
    members = _members(name, call)
    if len(call.address.rest) == 1:
        members = _read_list(call.body)
    elif call.address.rest[1] not in members:
        members = [*members, call.address.rest[1]]
    store.directory.set_acl(name, call.address.rest[0], members)
    return done()


def delete(store: Store, call: Call) -> Response:
    """Empty a list, or remove a member."""
    name = _owned(store, call)
    members = _members(name, call)
    if len(call.address.rest) == 1:
        left = []
    else:
        role = _member(name, call, members)
        left = [member for member in members if member != role]
    store.directory.set_acl(name, call.address.rest[0], left)
    return done()


def _owned(store: Store, call: Call) -> Name:
    name = store.directory.find(call.address.name)
    if call.address.version:
        return _version(store, call, name)
    name.enforce(call.client, "owner")
    return name


def _version(store: Store, call: Call, name: Name) -> Name:
    """Return a version as a name whose lists can be read."""
    if call.request.method not in {"GET", "HEAD"}:
        raise RefusedError(501, "This sandbox changes no list of a version.")
    content = store.directory.version(name.name, call.address.version)
    check_member(call.client, {content.owner} | name.inherited("owner"), str(content))
    return replace(name, acls={"owner": [content.owner]}, version=content.id)


def _members(name: Name, call: Call) -> list[str]:
    access = call.address.rest[0]
    if access not in name.lists:
        raise RefusedError(400, f"Invalid ACL name {access} for {name}.")
    return name.acls.get(access, [])


def _member(name: Name, call: Call, members: list[str]) -> str:
    access, role = call.address.rest
    if role not in members:
        raise RefusedError(404, f"ACL member {name};acl/{access}/{role} not found.")
    return role


def _read_list(body: bytes) -> list[str]:
    try:
        members = orjson.loads(body)
    except ValueError:
        raise RefusedError(400, "Error reading JSON input.") from None
    if not isinstance(members, list) or not all(isinstance(each, str) for each in members):
        raise RefusedError(400, "ACL input must be a flat JSON array of strings.")
    return members
