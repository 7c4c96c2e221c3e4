"""Access control lists of namespaces and objects."""

import orjson
from starlette.responses import Response

from deriva_watch.sandbox.hatrac.exchange import Call, Store, as_json, done
from deriva_watch.sandbox.hatrac.resources import NAMESPACE_ACLS, OBJECT_ACLS, Name
from deriva_watch.sandbox.refusal import RefusedError


def get(store: Store, call: Call) -> Response:
    """Show all lists, one, or one member."""
    name = _owned(store, call)
    if not call.address.rest:
        names = OBJECT_ACLS if name.is_object else NAMESPACE_ACLS
        return as_json({access: name.acls.get(access, []) for access in names})
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
    name.enforce(call.client, "owner")
    return name


def _members(name: Name, call: Call) -> list[str]:
    access = call.address.rest[0]
    if access not in (OBJECT_ACLS if name.is_object else NAMESPACE_ACLS):
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
