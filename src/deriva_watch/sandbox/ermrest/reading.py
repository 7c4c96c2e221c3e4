"""Queries: a path, what to show of its rows, in which order, from where to where."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_plus

from deriva_watch.sandbox.ermrest import values
from deriva_watch.sandbox.ermrest.catalog import Catalog
from deriva_watch.sandbox.ermrest.model import LEASES, Column, Table, quoted
from deriva_watch.sandbox.ermrest.paths import DataPath, parse_path, split_alias, split_name
from deriva_watch.sandbox.ermrest.refusals import conflict, malformed
from deriva_watch.sandbox.identity import Client

MODIFIERS: Final = re.compile(r"@(sort|after|before)\(([^)]*)\)")
AGGREGATES: Final = {
    "cnt": "count({})",
    "cnt_d": "count(DISTINCT {})",
    "min": "min({})",
    "max": "max({})",
    "sum": "sum({})",
    "avg": "avg({})",
}
NUMBER: Final = Column("number", "numeric", is_array=False, nullok=True, default=None)


@dataclass(frozen=True, slots=True)
class Shown:
    """One column of the answer: its name, its SQL, and whose type it has."""

    name: str
    sql: str
    column: Column


@dataclass(frozen=True, slots=True)
class Page:
    """The order and the part of an answer.

    Attributes:
        keys: Names to sort by, and whether downwards.

        boundary: Values of the keys next to which the part lies; None where there is none.

        is_before: Whether the part lies before the boundary.

        limit: The most rows; None for all.
    """

    keys: tuple[tuple[str, bool], ...] = ()
    boundary: tuple[str | None, ...] | None = None
    is_before: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of an answer, and the state of the tables they come from, or an older one."""

    names: list[str]
    rows: list[dict[str, Any]]
    state: str


def read(catalog: Catalog, client: Client | None, kind: str, text: str, limit: str | None) -> Found:
    """Answer a query.

    Args:
        catalog: The catalog.

        client: Who asks; sees only rows it may see.

        kind: ``entity``, ``attribute``, ``attributegroup`` or ``aggregate``.

        text: What follows in the URL, still percent-encoded.

        limit: The query parameter of that name.

    Raises:
        RefusedError: 400 where the grammar, 409 where the model has no such thing;
            401 or 403 without the right.
    """
    text, page = split_page(text, limit)
    leaf = ""
    if kind != "entity":
        text, _, leaf = text.rpartition("/")
    path = parse_path(catalog.model, text)
    tables = [element.table for element in path.elements]
    for table in tables:
        restrict(catalog, client, path, table)
    shown, group = _projection(path, kind, leaf)
    sql = (
        f"SELECT {'DISTINCT ' if kind == 'entity' and len(tables) > 1 else ''}"
        f"{', '.join(f'{each.sql} AS {quoted(each.name)}' for each in shown)} "
        f"FROM {path.source}{path.where}{group}"
    )
    sql, parameters = _paged(sql, shown, page)
    state = catalog.changed_at(tables).isoformat()  # first: rows may be newer, never older
    found = catalog.read(sql, [*path.parameters, *parameters])
    if page.is_before:
        found.reverse()
    rows = [
        {
            each.name: values.to_json(each.column, value)
            for each, value in zip(shown, row, strict=True)
        }
        for row in found
    ]
    return Found([each.name for each in shown], rows, state)


def restrict(catalog: Catalog, client: Client | None, path: DataPath, table: Table) -> None:
    """Let *path* give only rows of *table* that *client* may see."""
    if table.identity != LEASES:
        catalog.model.enforce(client, "select", table)
    elif not catalog.model.is_owner(client):
        for element in path.elements:
            if element.table is table:
                path.conditions.append(f"{element.sql}.RCB IS ?")
                path.parameters.append(client.id if client else None)


def split_page(text: str, limit: str | None = None) -> tuple[str, Page]:
    """Split the path and its ``@sort(..)@after(..)``, and add the *limit*."""
    path, *rest = re.split(r"(?=@(?:sort|after|before)\()", text, maxsplit=1)
    modifiers = dict(MODIFIERS.findall("".join(rest)))
    keys = tuple(map(_sort_key, modifiers["sort"].split(","))) if "sort" in modifiers else ()
    bounds = [name for name in ("after", "before") if name in modifiers]
    if bounds and not keys:
        raise malformed("@after and @before need @sort.")
    boundary = tuple(map(_bound, modifiers[bounds[0]].split(","))) if bounds else None
    if boundary and len(boundary) != len(keys):
        raise malformed("A page boundary needs one value for each sort key.")
    return path, Page(keys, boundary, bounds == ["before"], _limit(limit))


def _sort_key(text: str) -> tuple[str, bool]:
    name = text.removesuffix("::desc::")
    return unquote_plus(name), name != text


def _bound(text: str) -> str | None:
    return None if text == "::null::" else unquote_plus(text)


def _limit(text: str | None) -> int | None:
    if text in (None, "none"):
        return None
    if not re.fullmatch(r"\d+", str(text)):
        raise malformed(f"Invalid limit {text}.")
    return int(str(text))


def parse_columns(path: DataPath, text: str) -> list[Shown]:
    """Read a list of ``[name:=][alias:]column``, ``*`` or ``function(column)``."""
    return [shown for item in text.split(",") for shown in _item(path, item)]


def _item(path: DataPath, text: str) -> list[Shown]:
    name, expression = split_alias(text)
    function, bracket, argument = expression.partition("(")
    if bracket:
        return [_aggregate(path, name, function, argument.removesuffix(")"))]
    qualifier, column_name = split_name(expression)
    if column_name != "*":
        sql, column = path.column(expression)
        return [Shown(name or column_name, sql, column)]
    element = path.element(qualifier)
    prefix = f"{qualifier}:" if qualifier else ""
    return [
        Shown(f"{prefix}{column.name}", f"{element.sql}.{quoted(column.name)}", column)
        for column in element.table.columns.values()
    ]


def _aggregate(path: DataPath, name: str | None, function: str, argument: str) -> Shown:
    if function not in AGGREGATES or name is None:
        raise malformed(f"{function}({argument}) needs a known function and a name.")
    if argument == "*":
        return Shown(name, "count(*)", NUMBER)
    sql, column = path.column(argument)
    counted = NUMBER if function in {"cnt", "cnt_d", "sum", "avg"} else column
    return Shown(name, AGGREGATES[function].format(sql), counted)


def _projection(path: DataPath, kind: str, leaf: str) -> tuple[list[Shown], str]:
    """Return the columns of the answer, and the ``GROUP BY`` clause."""
    if kind == "entity":
        return _item(path, "*"), ""
    if kind != "attributegroup":
        return parse_columns(path, leaf), ""
    keys, _, aggregates = leaf.partition(";")
    groups = parse_columns(path, keys)
    shown = groups + (parse_columns(path, aggregates) if aggregates else [])
    return shown, f" GROUP BY {', '.join(each.sql for each in groups)}"


def _paged(sql: str, shown: list[Shown], page: Page) -> tuple[str, list[Any]]:
    """Wrap a query in the order, the boundary and the limit of *page*."""
    if page == Page():
        return sql, []
    columns = {each.name: each.column for each in shown}
    for name, _ in page.keys:
        if name not in columns:
            raise conflict(f"Sort column {name} does not exist in the result.")
    keys = [(quoted(name), down != page.is_before) for name, down in page.keys]
    where, parameters = "", list[Any]()
    if page.boundary is not None:
        types = [columns[name] for name, _ in page.keys]
        bounds = [
            None if bound is None else _cast(column, bound)
            for column, bound in zip(types, page.boundary, strict=True)
        ]
        condition, parameters = _beyond(keys, bounds)
        where = f" WHERE {condition}"
    order = ", ".join(f"{key} {'DESC NULLS FIRST' if down else 'NULLS LAST'}" for key, down in keys)
    sql = f"SELECT * FROM ({sql}){where}{f' ORDER BY {order}' if order else ''}"
    return (sql if page.limit is None else f"{sql} LIMIT {page.limit}"), parameters


def _beyond(keys: list[tuple[str, bool]], bounds: list[values.Stored]) -> tuple[str, list[Any]]:
    """Return the condition for rows that stand behind *bounds* in the order of *keys*."""
    (key, down), bound = keys[0], bounds[0]
    if bound is None:
        sql, parameters = (f"{key} IS NOT NULL" if down else "0"), list[Any]()
    else:
        sql, parameters = (f"{key} < ?" if down else f"({key} > ? OR {key} IS NULL)"), [bound]
    if len(keys) > 1:
        rest, more = _beyond(keys[1:], bounds[1:])
        sql = f"({sql} OR ({key} IS ? AND {rest}))"
        parameters = [*parameters, bound, *more]
    return sql, parameters


def _cast(column: Column, text: str) -> values.Stored:
    try:
        return values.from_text(column, text)
    except values.CastError as error:
        raise malformed(str(error)) from None
