"""Queries: a path, the columns to return, their order, and the page."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from deriva_watch.sandbox.ermrest import values
from deriva_watch.sandbox.ermrest.catalog import Catalog
from deriva_watch.sandbox.ermrest.model import LEASES, Column, Table, quoted
from deriva_watch.sandbox.ermrest.paths import DataPath, parse_path, split_alias, split_name
from deriva_watch.sandbox.ermrest.quoting import decode
from deriva_watch.sandbox.ermrest.refusals import conflict, malformed
from deriva_watch.sandbox.identity import Client
from deriva_watch.sandbox.refusal import RefusedError

MODIFIERS: Final = re.compile(r"@(sort|after|before)\(([^)]*)\)")
AGGREGATES: Final = {
    "cnt": "count({})",
    "cnt_d": "count(DISTINCT {})",
    "min": "min({})",
    "max": "max({})",
    "sum": "sum({})",
    "avg": "avg({})",
}
ARRAYS: Final = {  # over no rows they are null
    "array": "CASE WHEN count(*) THEN json_group_array({}) END",
    "array_d": "CASE WHEN count(*) THEN json_group_array(DISTINCT {}) END",
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

        after, before: Key values before and after the page; None means no limit.

        limit: The most rows; None for all.
    """

    keys: tuple[tuple[str, bool], ...] = ()
    after: tuple[str | None, ...] | None = None
    before: tuple[str | None, ...] | None = None
    limit: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether it has the last rows before a boundary, not the first rows after one."""
        return self.before is not None and self.after is None


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of an answer, and the state of the catalog they come from, or an older one."""

    names: list[str]
    rows: list[dict[str, Any]]
    state: str


def read(catalog: Catalog, client: Client | None, kind: str, text: str, limit: str | None) -> Found:
    """Answer a query.

    Args:
        catalog: The catalog.

        client: The sender; gets only rows that it may see.

        kind: ``entity``, ``attribute``, ``attributegroup`` or ``aggregate``.

        text: What follows in the URL, still percent-encoded.

        limit: The query parameter of that name.

    Raises:
        RefusedError: 400 for a mistake in the grammar, 409 for a name that the model lacks;
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
    if kind == "attribute" and not {name for name, _ in page.keys} <= {e.name for e in shown}:
        raise malformed("A sort key is no column of the answer.")
    sql, parameters = _paged(sql, shown, page)
    state = catalog.changed_at.isoformat()  # before the rows, which may be newer but never older
    found = catalog.read(sql, [*path.parameters, *parameters])
    if page.is_last:
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
    """Restrict *path* to the rows of *table* that *client* may see."""
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
    bounds = {
        name: tuple(map(_bound, modifiers[name].split(",")))
        for name in ("after", "before")
        if name in modifiers
    }
    if bounds and not keys:
        raise malformed("@after and @before need @sort.")
    if any(len(bound) != len(keys) for bound in bounds.values()):
        raise malformed("A page boundary needs one value for each sort key.")
    page = Page(keys, bounds.get("after"), bounds.get("before"), _limit(limit))
    if page.is_last and page.limit is None:
        raise malformed("@before needs @after or a limit.")
    return path, page


def _sort_key(text: str) -> tuple[str, bool]:
    name = text.removesuffix("::desc::")
    if not name:
        raise malformed("A sort key needs a name.")
    return decode(name), name != text


def _bound(text: str) -> str | None:
    return None if text == "::null::" else decode(text)


def _limit(text: str | None) -> int | None:
    if text in (None, "none"):
        return None
    if re.fullmatch(r"-\d+", str(text)):
        raise conflict("LIMIT must not be negative")
    if not re.fullmatch(r"\d+", str(text)):
        raise malformed(f"Invalid limit {text}.")
    return int(str(text))


def parse_columns(
    path: DataPath, text: str, refuse: Callable[[str], RefusedError] = malformed
) -> list[Shown]:
    """Read a list of ``[name:=][alias:]column``, ``*`` or ``function(column)``.

    *refuse* makes the error for a name that occurs twice.
    """
    found = [shown for item in text.split(",") for shown in _item(path, item)]
    if len({each.name for each in found}) < len(found):
        raise refuse("A name stands twice among the columns.")
    return found


def _item(path: DataPath, text: str) -> list[Shown]:
    name, expression = split_alias(text)
    function, bracket, argument = expression.partition("(")
    if bracket:
        return [_aggregate(path, name, function, argument.removesuffix(")"))]
    qualifier, column_name = split_name(expression)
    if qualifier is not None and all(each.alias != qualifier for each in path.elements):
        raise malformed(f"Alias {qualifier} does not exist in the path.")
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
    if function not in AGGREGATES | ARRAYS or name is None:
        raise malformed(f"{function}({argument}) needs a known function and a name.")
    if argument == "*":
        return Shown(name, "count(*)", NUMBER)
    sql, column = path.column(argument)
    if function in ARRAYS:
        array = replace(column, is_array=True)
        return Shown(name, ARRAYS[function].format(sql), array)
    counted = NUMBER if function in {"cnt", "cnt_d", "sum", "avg"} else column
    return Shown(name, AGGREGATES[function].format(sql), counted)


def _projection(path: DataPath, kind: str, leaf: str) -> tuple[list[Shown], str]:
    """Return the columns of the answer, and the ``GROUP BY`` clause."""
    if kind == "entity":
        return _item(path, "*"), ""
    if kind == "aggregate" and not all("(" in item for item in leaf.split(",")):
        raise malformed("An aggregate query shows aggregates only.")
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
    types = [columns[name] for name, _ in page.keys]
    conditions, parameters = list[str](), list[Any]()
    for boundary, is_before in ((page.after, False), (page.before, True)):
        if boundary is not None:
            bounds = [
                None if bound is None else _cast(column, bound)
                for column, bound in zip(types, boundary, strict=True)
            ]
            side = [(quoted(name), down != is_before) for name, down in page.keys]
            condition, more = _beyond(side, bounds)
            conditions.append(condition)
            parameters += more
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    keys = [(quoted(name), down != page.is_last) for name, down in page.keys]
    order = ", ".join(f"{key} {'DESC NULLS FIRST' if down else 'NULLS LAST'}" for key, down in keys)
    sql = f"SELECT * FROM ({sql}){where}{f' ORDER BY {order}' if order else ''}"
    return (sql if page.limit is None else f"{sql} LIMIT {page.limit}"), parameters


def _beyond(keys: list[tuple[str, bool]], bounds: list[values.Stored]) -> tuple[str, list[Any]]:
    """Return the condition for rows after *bounds* in the order of *keys*."""
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
