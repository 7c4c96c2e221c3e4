"""The URL grammar of data paths: ``alias:=schema:table/filter/link@sort(..)``."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import re
from dataclasses import dataclass, field
from typing import Any, Final

from deriva_watch.sandbox.ermrest.filters import parse_filter
from deriva_watch.sandbox.ermrest.model import Column, Model, Reference, Table, quoted
from deriva_watch.sandbox.ermrest.quoting import decode
from deriva_watch.sandbox.ermrest.refusals import conflict, malformed

# (columns here)=(schema:table:columns there)
LINK: Final = re.compile(r"\(([^()=]+)\)=\(([^()=]+)\)")
# (columns of a foreign key here)
COLUMN_LINK: Final = re.compile(r"\(([^()=:,]+(?:,[^()=:,]+)*)\)")
FILTER_SIGNS: Final = re.compile(r"[=!(]|::")


@dataclass(frozen=True, slots=True)
class Element:
    """One table of a path; *sql* is its alias in the query, *alias* the client's."""

    table: Table
    sql: str
    alias: str | None


@dataclass(slots=True)
class DataPath:
    """The joined tables of a path, and the conditions for their rows.

    Attributes:
        elements: The tables.

        current: The last table of the path, whose rows are returned.

        source: The ``FROM`` clause.

        conditions: Parts of the ``WHERE`` clause.

        parameters: Values for the question marks in it.
    """

    elements: list[Element] = field(default_factory=list)
    current: Element = field(init=False)
    source: str = ""
    conditions: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)

    @property
    def table(self) -> Table:
        """The table whose rows the path gives."""
        return self.current.table

    @property
    def where(self) -> str:
        """The ``WHERE`` clause, or nothing."""
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""

    def column(self, name: str) -> tuple[str, Column]:
        """Return the SQL of a column and the column, by its quoted *name*, ``[alias:]column``.

        Raises:
            RefusedError: 409, there is none.
        """
        qualifier, column = split_name(name)
        element = self.element(qualifier)
        return f"{element.sql}.{quoted(column)}", element.table.column(column)

    def element(self, alias: str | None) -> Element:
        """Return the table that *alias* stands for; the current one without an alias."""
        if alias is None:
            return self.current
        for element in self.elements:
            if element.alias == alias:
                return element
        raise conflict(f"Alias {alias} does not exist in the path.")

    def add_table(self, table: Table, alias: str | None, pairs: list[tuple[str, str]]) -> None:
        """Join *table*: *pairs* are the columns, as SQL and as names, that must be equal."""
        if alias and any(each.alias == alias for each in self.elements):
            raise malformed(f"Alias {alias} is used twice.")
        sql = f"t{len(self.elements)}"
        condition = " AND ".join(f"{left} = {sql}.{quoted(right)}" for left, right in pairs)
        join = f" JOIN {table.sql} AS {sql} ON {condition}"
        self.source += join if self.elements else f"{table.sql} AS {sql}"
        self.current = Element(table, sql, alias)
        self.elements.append(self.current)

    def go_back(self, alias: str) -> None:
        """Continue the path from an earlier table: ``$alias``.

        Raises:
            RefusedError: 400, there is none.
        """
        found = [element for element in self.elements if element.alias == alias]
        if not found:
            raise malformed(f"Alias {alias} does not exist in the path.")
        (self.current,) = found

    def select_numbers(self) -> tuple[str, list[Any]]:
        """Return the query for the SQLite row numbers of the rows."""
        return (
            f"SELECT DISTINCT {self.current.sql}.rowid FROM {self.source}{self.where}",
            self.parameters,
        )


def parse_path(model: Model, text: str) -> DataPath:
    """Read the path in *text*, still percent-encoded.

    Raises:
        RefusedError: 400 for a mistake in the grammar, 409 for a name that the model lacks.
    """
    first, *others = text.split("/")
    path = DataPath()
    alias, name = split_alias(first)
    schema, table = split_name(name)
    path.add_table(model.find(table, schema), alias, [])
    for part in others:
        alias, rest = split_alias(part)
        link = LINK.fullmatch(rest)
        if rest.startswith("$"):
            path.go_back(decode(rest[1:]))
        elif columns := COLUMN_LINK.fullmatch(rest):
            _follow_key(model, path, alias, [decode(each) for each in columns[1].split(",")])
        elif link:
            _follow_columns(model, path, alias, *link.groups())
        elif FILTER_SIGNS.search(rest):
            condition, parameters = parse_filter(rest, path.column)
            path.conditions.append(condition)
            path.parameters += parameters
        else:
            _follow_reference(model, path, alias, rest)
    return path


def split_alias(text: str) -> tuple[str | None, str]:
    """Split ``alias:=rest``; the alias is decoded, the rest is not."""
    alias, sign, rest = text.partition(":=")
    return (decode(alias), rest) if sign else (None, text)


def split_name(text: str) -> tuple[str | None, str]:
    """Split ``qualifier:name`` and decode both."""
    qualifier, _, name = text.removeprefix(":").rpartition(":")
    if ":" in qualifier or not name:
        raise malformed(f"{text!r} is no name.")
    return (decode(qualifier) if qualifier else None), decode(name)


def _follow_columns(model: Model, path: DataPath, alias: str | None, here: str, there: str) -> None:
    left = [path.column(name)[0] for name in here.split(",")]
    first, *more = there.split(",")
    table_name, _, column = first.rpartition(":")
    schema, name = split_name(table_name)
    table = model.find(name, schema)
    right = [decode(each) for each in (column, *more)]
    for each in right:
        table.column(each)
    if len(left) != len(right):
        raise malformed("A link needs as many columns here as there.")
    path.add_table(table, alias, list(zip(left, right, strict=True)))


def _follow_reference(model: Model, path: DataPath, alias: str | None, text: str) -> None:
    schema, name = split_name(text)
    here, there = path.current, model.find(name, schema)
    links = [
        (reference.columns, reference.key_columns) for reference in _links(here.table, there)
    ] + [(reference.key_columns, reference.columns) for reference in _links(there, here.table)]
    if len(links) != 1:
        raise conflict(f"{len(links)} references connect {here.table} and {there}, not one.")
    left, right = links[0]
    pairs = [(f"{here.sql}.{quoted(a)}", b) for a, b in zip(left, right, strict=True)]
    path.add_table(there, alias, pairs)


def _follow_key(model: Model, path: DataPath, alias: str | None, names: list[str]) -> None:
    """Join the table that the foreign key of the columns *names* refers to."""
    here = path.current
    for name in names:
        here.table.column(name)
    found = [each for each in here.table.references if set(each.columns) == set(names)]
    if len(found) != 1:
        raise conflict(f"{len(found)} references of {here.table} have the columns {names}.")
    reference = found[0]
    there = model.tables[reference.target]
    pairs = [
        (f"{here.sql}.{quoted(a)}", b)
        for a, b in zip(reference.columns, reference.key_columns, strict=True)
    ]
    path.add_table(there, alias, pairs)


def _links(source: Table, target: Table) -> list[Reference]:
    return [each for each in source.references if each.target == target.identity]
