"""ERMrest's URLs: ``/ermrest/catalog/N/{schema,entity,attribute,..}``."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, unquote_plus

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deriva_watch.sandbox.ermrest import documents, model_api, reading, writing
from deriva_watch.sandbox.ermrest.catalog import Caller, Catalog
from deriva_watch.sandbox.ermrest.model import LEASES, SYSTEM_COLUMNS, Table
from deriva_watch.sandbox.ermrest.paths import parse_path, split_name
from deriva_watch.sandbox.ermrest.records import CSV, JSON, JSON_LINES
from deriva_watch.sandbox.ermrest.refusals import conflict, denied, malformed, refused

Answer = Callable[[Catalog, Caller, Request, bytes], Response]

ENDINGS: Final = {CSV: "csv", JSON: "json", JSON_LINES: "json"}
QUERIES: Final = ("entity", "attribute", "attributegroup", "aggregate")


def routes(catalog: Catalog) -> list[Route]:
    """Return the routes of the service with its only *catalog*."""

    async def describe_service(_: Request) -> Response:
        return _json(documents.service())

    def at(path: str, answer: Answer, *methods: str) -> Route:
        endpoint = _endpoint(catalog, answer)
        return Route(f"/ermrest/catalog/{{catalog}}{path}", endpoint, methods=methods or ["GET"])

    return [
        Route("/ermrest", describe_service),
        Route("/ermrest/", describe_service),
        at("", _describe),
        at("/", _describe),
        at("/acl", _acls),
        at("/acl/{access}", _acl),
        at("/acl/{access}", _set_acl, "PUT"),
        at("/schema", _schema),
        at("/schema/{address:path}", _schema_part),
        at("/schema/{address:path}", model_api.create, "POST"),
        at("/schema/{address:path}", model_api.alter, "PUT"),
        at("/schema/{address:path}", model_api.drop, "DELETE"),
        at("/entity_rid/{rid}", _entity_rid),
        at("/entity/{path:path}", _insert, "POST"),
        at("/entity/{path:path}", _upsert, "PUT"),
        at("/entity/{path:path}", _delete, "DELETE"),
        at("/attribute/{path:path}", _clear, "DELETE"),
        at("/attributegroup/{path:path}", _update, "PUT"),
        *(at(f"/{kind}/{{path:path}}", functools.partial(_query, kind)) for kind in QUERIES),
        at("/{rest:path}", _unknown),
    ]


def _endpoint(catalog: Catalog, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """Wrap *answer*: the catalog must be ours, the client must see it, SQLite gets a thread."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        if request.path_params["catalog"] != catalog.id:
            raise refused(404, f"catalog {request.path_params['catalog']}")
        client = request.state.client
        if not catalog.model.may(client, "enumerate"):
            raise denied(client, f"enumerate access on catalog/{catalog.id}")
        caller = Caller(client, request.state.begun_ns)
        return await run_in_threadpool(answer, catalog, caller, request, body)

    return endpoint


def _describe(catalog: Catalog, caller: Caller, request: Request, _: bytes) -> Response:
    return _unless_known(request, catalog.snaptime(), documents.catalog(catalog, caller.client))


def _schema(catalog: Catalog, caller: Caller, request: Request, _: bytes) -> Response:
    return _unless_known(request, catalog.version(), documents.schema(catalog, caller.client))


def _schema_part(catalog: Catalog, caller: Caller, request: Request, _: bytes) -> Response:
    document = documents.schema(catalog, caller.client)
    steps = [unquote_plus(step) for step in request.path_params["address"].split("/")]
    part = documents.part_of_schema(document, steps)
    return _unless_known(request, catalog.version(), part)


def _acls(catalog: Catalog, caller: Caller, _: Request, __: bytes) -> Response:
    if not catalog.model.is_owner(caller.client):
        raise denied(caller.client, f"owner access on catalog/{catalog.id}")
    return _json(catalog.document["acls"])


def _acl(catalog: Catalog, caller: Caller, request: Request, body: bytes) -> Response:
    _acls(catalog, caller, request, body)
    access = request.path_params["access"]
    if access not in catalog.document["acls"]:
        raise refused(404, f"acl/{access}")
    return _json(catalog.document["acls"][access])


def _set_acl(catalog: Catalog, caller: Caller, request: Request, body: bytes) -> Response:
    _acl(catalog, caller, request, body)
    try:
        members = orjson.loads(body)
    except ValueError as error:
        raise malformed(str(error)) from None
    if not isinstance(members, list) or not all(isinstance(each, str) for each in members):
        raise malformed("An ACL is a list of names.")
    catalog.set_acl(request.path_params["access"], members)
    return _json(members)


def _entity_rid(catalog: Catalog, caller: Caller, request: Request, _: bytes) -> Response:
    rid = unquote_plus(request.path_params["rid"])
    tables = sorted(catalog.model.tables.values(), key=lambda table: table.identity == LEASES)
    for table in tables:  # leases last: a used RID belongs to its row
        if "RID" not in table.columns or not _sees(catalog, caller, table):
            continue
        if catalog.read(f"SELECT 1 FROM {table.sql} WHERE RID = ?", [rid]):
            return _json({"RID": rid, "schema_name": table.schema, "table_name": table.name})
    gone = "SELECT RID, schema_name, table_name, deleted_at FROM deleted WHERE RID = ?"
    for row in catalog.read(gone, [rid]):
        return _json(dict(row))
    raise refused(404, f"entity with RID={rid}")


def _sees(catalog: Catalog, caller: Caller, table: Table) -> bool:
    return table.identity == LEASES or catalog.model.may(caller.client, "select", table)


def _query(kind: str, catalog: Catalog, caller: Caller, request: Request, _: bytes) -> Response:
    if request.method == "HEAD":
        raise refused(500, "HEAD of rows")  # measured
    path, limit = request.path_params["path"], request.query_params.get("limit")
    found = reading.read(catalog, caller.client, kind, path, limit)
    request.state.entries = len(found.rows)
    media_type = _media_type(request, JSON)
    headers = _tag(request, found.state, media_type)
    if not _holds(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if name := request.query_params.get("download"):
        ending = ENDINGS[media_type]
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}.{ending}"
    return _rows(found.names, found.rows, media_type, headers)


def _holds(request: Request, etag: str) -> bool:
    """Return whether the conditions of a request are true for *etag*."""
    wanted, unwanted = (
        set(re.findall(r'"[^"]*"|\*', request.headers.get(header, "")))
        for header in ("if-match", "if-none-match")
    )
    here = {etag, "*"}
    return not unwanted & here and (not wanted or bool(wanted & here))


def _guard(catalog: Catalog, request: Request) -> None:
    """Check the conditions of a write.

    Raises:
        RefusedError: 412, the catalog has changed since, in any table and by any client.
    """
    etag = _tag(request, catalog.changed_at.isoformat(), _media_type(request, JSON))["ETag"]
    if not _holds(request, etag):
        raise refused(412, "The catalog is in another state.")


def _insert(catalog: Catalog, caller: Caller, request: Request, body: bytes) -> Response:
    _guard(catalog, request)
    table = _table(catalog, request)
    parameters = _parameters(request)
    action = ",".join(parameters.get("onconflict", {"abort"}))
    if action not in {"skip", "abort"}:
        raise malformed(
            f'Unknown action name in query parameter onconflict="{action}". '
            'Expected "skip" or "abort".'
        )
    options = writing.InsertOptions(
        parameters.get("defaults", set()), parameters.get("nondefaults", set()), action == "skip"
    )
    if "RID" in options.nondefaults:  # measured: the server scans the whole table
        request.state.entries = catalog.read(f"SELECT count(*) FROM {table.sql}")[0][0]
    rows = writing.insert(catalog, caller, table, _body(request, body), options)
    return _written(catalog, request, table, rows)


def _upsert(catalog: Catalog, caller: Caller, request: Request, body: bytes) -> Response:
    _guard(catalog, request)
    table = _table(catalog, request)
    rows = writing.upsert(catalog, caller, table, _body(request, body))
    return _written(catalog, request, table, rows)


def _update(catalog: Catalog, caller: Caller, request: Request, body: bytes) -> Response:
    _guard(catalog, request)
    text, _, leaf = request.path_params["path"].rpartition("/")
    path = parse_path(catalog.model, text)
    keys, _, targets = leaf.partition(";")
    if not targets or len(path.elements) > 1 or path.conditions:
        raise malformed("An update needs one table, columns to find rows by, and others to write.")
    key_columns, target_columns = (
        {shown.name: shown.column for shown in reading.parse_columns(path, part, conflict)}
        for part in (keys, targets)
    )
    assignment = writing.Assignment(path.table, key_columns, target_columns)
    rows = writing.update(catalog, caller, assignment, _body(request, body))
    return _written(catalog, request, path.table, rows)


def _delete(catalog: Catalog, caller: Caller, request: Request, _: bytes) -> Response:
    _guard(catalog, request)
    writing.delete(catalog, caller, parse_path(catalog.model, request.path_params["path"]))
    return Response(status_code=204)


def _clear(catalog: Catalog, caller: Caller, request: Request, _: bytes) -> Response:
    _guard(catalog, request)
    text, _, leaf = request.path_params["path"].rpartition("/")
    path = parse_path(catalog.model, text)
    columns = [shown.column for shown in reading.parse_columns(path, leaf)]
    writing.clear(catalog, caller, path, columns)
    return Response(status_code=204)


def _unknown(_: Catalog, __: Caller, request: Request, ___: bytes) -> Response:
    raise refused(404, request.path_params["rest"])


def _table(catalog: Catalog, request: Request) -> Table:
    text = request.path_params["path"]
    if "/" in text:
        raise malformed("Entity filters not allowed during entity insertion.")
    schema, name = split_name(text)
    return catalog.model.find(name, schema)


def _parameters(request: Request) -> dict[str, set[str]]:
    """Return the query parameters, whose values are lists: split first, then decoded."""
    pairs = [part.partition("=") for part in request.url.query.split("&") if part]
    return {
        unquote_plus(name): {unquote_plus(value) for value in text.split(",") if value}
        for name, _, text in pairs
    }


def _body(request: Request, content: bytes) -> writing.Body:
    return writing.Body(content, _content_type(request))


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower()


def _written(
    catalog: Catalog, request: Request, table: Table, rows: list[dict[str, Any]]
) -> Response:
    names = [*(rows[0] if rows else table.columns)]
    media_type = _media_type(request, _content_type(request))
    if media_type == CSV:
        # Measured: the system columns are repeated at the end of each line.
        names += [name for name in SYSTEM_COLUMNS if name in names]
    headers = _tag(request, catalog.changed_at.isoformat(), media_type)
    return _rows(names, rows, media_type, headers, quote_lines=False)


def _media_type(request: Request, default: str) -> str:
    """Return the media type that the client accepts, or *default*."""
    asked = {"csv": CSV, "json": JSON}.get(request.query_params.get("accept", ""))
    if asked:
        return asked
    accept = request.headers.get("accept", "")
    return next((each for each in (CSV, JSON, JSON_LINES) if each in accept), default)


def _tag(request: Request, *states: str) -> dict[str, str]:
    client = request.state.client
    tag = ";".join((client.id if client else "", *states))
    return {"ETag": f'"{tag}"', "Vary": "accept,cookie"}


def _rows(
    names: list[str],
    rows: list[dict[str, Any]],
    media_type: str,
    headers: dict[str, str],
    *,
    quote_lines: bool = True,
) -> Response:
    if media_type == CSV:
        content = _csv(names, rows, ',"\r\n' if quote_lines else ',"')  # measured
    elif media_type == JSON_LINES:
        content = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    else:
        content = orjson.dumps(rows, option=orjson.OPT_APPEND_NEWLINE)
    return Response(content, headers=headers, media_type=media_type)


def _csv(names: list[str], rows: list[dict[str, Any]], special: str) -> bytes:
    lines = [names, *([row[name] for name in names] for row in rows)]
    return "".join(
        ",".join(_csv_field(value, special) for value in line) + "\n" for line in lines
    ).encode()


def _csv_field(value: Any, special: str) -> str:
    """Return one field as PostgreSQL writes it: nothing for null, quotes around nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if text and not set(text) & set(special):
        return text
    return '"' + text.replace('"', '""') + '"'


def _unless_known(request: Request, state: str, document: Any) -> Response:
    headers = _tag(request, state)
    if not _holds(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return _json(document, headers)


def _json(document: Any, headers: dict[str, str] | None = None) -> Response:
    content = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    return Response(content, headers=headers, media_type=JSON)
