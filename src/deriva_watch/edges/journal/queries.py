"""The base of all queries: each runs in a connection of its own, so any thread may ask."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Engine, Select, Table, select

from deriva_watch.edges.journal.problems import explained
from deriva_watch.edges.journal.schema import execution

_MOST: Final = 500  # values in one IN (…)

_T = TypeVar("_T")


class Queries:
    """A journal that can be queried.

    Args:
        path: The journal's file.
        engine: Opens the connections.
        in_use: The journal could be written before: errors of its disk may pass.
    """

    def __init__(self, path: Path, engine: Engine, *, in_use: bool = False) -> None:
        self.path = path
        self._engine = engine
        self._in_use = in_use

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        explaining = explained("read", self.path, in_use=self._in_use)
        with explaining, self._engine.connect() as connection:
            rows: Sequence[Any] = connection.execute(query).all()
            return rows


def select_records(table: Table, kind: type[Any]) -> Select[Any]:
    """Select the columns of *kind* in the order of its fields."""
    return select(*(table.c[part.name] for part in fields(kind)))


def in_parts(values: Collection[_T]) -> Iterator[list[_T]]:
    """Yield *values* in lists that are short enough for one IN (…)."""
    found = list(values)
    for start in range(0, len(found), _MOST):
        yield found[start : start + _MOST]


def for_server(server: str) -> ColumnElement[bool]:
    """Return the condition that an execution goes to *server*, for queries with few rows.

    It is an expression and not a bare column: SQLite has no statistics here, and would otherwise
    begin with all executions of the server and read all of their files.
    """
    return (execution.c.server + "") == server


def same_unit(server: str, prefix: str, rid: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that select one execution."""
    known = execution.c
    return known.server == server, known.prefix == prefix, known.rid == rid
