"""ERMrest's URLs that change the model: ``/schema/S/table/T/column/C`` and the like."""

from collections.abc import Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from deriva_watch.sandbox.ermrest import ddl
from deriva_watch.sandbox.ermrest.catalog import Caller, Catalog
from deriva_watch.sandbox.ermrest.documents import part_of_schema
from deriva_watch.sandbox.ermrest.paths import split_name
from deriva_watch.sandbox.ermrest.quoting import decode
from deriva_watch.sandbox.ermrest.records import JSON
from deriva_watch.sandbox.ermrest.refusals import malformed, refused

MAKERS = {
    "column": ddl.create_column,
    "key": ddl.create_key,
    "foreignkey": ddl.create_foreign_key,
}


def create(catalog: Catalog, caller: Caller, request: Request, body: bytes) -> Response:
    """Make a schema, a table, or a part of one; answers 201 with its document."""
    match _steps(request):
        case [schema]:
            made = ddl.create_schema(catalog, caller, schema)
        case [schema, "table"]:
            made = ddl.create_table(catalog, caller, schema, _document(body))
        case [schema, "table", table, kind] if kind in MAKERS:
            made = MAKERS[kind](catalog, caller, schema, table, _document(body))
        case _:
            raise _unknown(request)
    return _answer(made, 201)


def alter(catalog: Catalog, caller: Caller, request: Request, body: bytes) -> Response:
    """Change a table, a column, or an annotation."""
    match _steps(request):
        case [schema, "table", table]:
            changed = ddl.alter_table(catalog, caller, schema, table, _document(body))
        case [schema, "table", table, "column", column]:
            changed = ddl.alter_column(catalog, caller, schema, table, column, _document(body))
        case [*address, "annotation", tag]:
            ddl.annotate(catalog, caller, _place(address), tag, _json(body))
            return Response(status_code=201)
        case _:
            raise _unknown(request)
    return _answer(changed, 200)


def drop(catalog: Catalog, caller: Caller, request: Request, _: bytes) -> Response:
    """Drop a schema, a table, a part of one, or an annotation."""
    match _steps(request):
        case [schema]:
            ddl.drop_schema(catalog, caller, schema)
        case [schema, "table", table]:
            ddl.drop_table(catalog, caller, schema, table)
        case [schema, "table", table, "column", column]:
            ddl.drop_column(catalog, caller, schema, table, column)
        case [schema, "table", table, "key", _]:
            ddl.drop_key(catalog, caller, schema, table, _list(request, 4))
        case [schema, "table", table, "foreignkey", _, "reference", _, _]:
            target_schema, target = split_name(_raw(request)[6])
            here, there = _list(request, 4), _list(request, 7)
            ddl.drop_foreign_key(
                catalog, caller, schema, table, here, (target_schema or schema, target), there
            )
        case [*address, "annotation", tag]:
            ddl.annotate(catalog, caller, _place(address), tag, None)
        case _:
            raise _unknown(request)
    return Response(status_code=204)


def _place(address: list[str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def place(document: dict[str, Any]) -> dict[str, Any]:
        part: dict[str, Any] = part_of_schema(document, address) if address else document
        return part

    return place


def _raw(request: Request) -> list[str]:
    return [step for step in request.path_params["address"].split("/") if step]


def _steps(request: Request) -> list[str]:
    """Return the steps of the address, decoded; a list of names stays one step."""
    return [decode(step.replace(",", "%2C").replace(":", "%3A")) for step in _raw(request)]


def _list(request: Request, at: int) -> list[str]:
    return [decode(name) for name in _raw(request)[at].split(",")]


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise malformed(str(error)) from None


def _document(body: bytes) -> dict[str, Any]:
    document = _json(body)
    if not isinstance(document, dict):
        raise malformed("A definition is a JSON object.")
    return document


def _answer(document: dict[str, Any], status: int) -> Response:
    content = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    return Response(content, status, media_type=JSON)


def _unknown(request: Request) -> Exception:
    return refused(501, f"{request.method} schema/{request.path_params['address']}")
