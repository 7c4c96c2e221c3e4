"""The statements that every file needs, as text, made once for each table and driver.

To compile them again and wrap their results, as SQLAlchemy's Core does, takes longer than the
database itself. They are plain SQL, for any driver that takes parameters by their position.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.types import TypeEngine

from deriva_watch.edges.journal.schema import Instant

_MARKS: Final = {"qmark": "?", "format": "%s"}
_Convert = Callable[[Any], Any] | None


class Prepared:
    """The statements of one table, and how its values are stored.

    The methods take the names of columns; each statement is made once.

    Args:
        table: The table.
        dialect: Of the driver; "qmark" or "format" is how it marks a parameter.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        quote = dialect.identifier_preparer.quote
        self._mark = _MARKS[dialect.paramstyle]
        self._table = quote(table.name)
        self._quoted = {column.name: quote(column.name) for column in table.columns}
        self._locking = "" if dialect.name == "sqlite" else " FOR UPDATE"
        kinds = {column.name: column.type.dialect_impl(dialect) for column in table.columns}
        self._stores = {name: _store(kind, dialect) for name, kind in kinds.items()}
        self._loads = {name: kind.result_processor(dialect, None) for name, kind in kinds.items()}
        self.select = cache(self._select)
        self.insert = cache(self._insert)
        self.upsert = cache(self._upsert)
        self.update = cache(self._update)
        self._storing = cache(self._stores_of)

    def stored(self, names: tuple[str, ...], values: Sequence[Any]) -> tuple[Any, ...]:
        """Return *values* of the columns *names* as the driver takes them."""
        return tuple(
            [
                value if value is None or store is None else store(value)
                for store, value in zip(self._storing(names), values, strict=True)
            ]
        )

    def loaded(self, name: str, value: Any) -> Any:
        """Return a *value* of a column as it is in Python."""
        load = self._loads[name]
        return value if load is None else load(value)

    def converts(self, name: str) -> bool:
        """Whether values of a column differ between database and Python."""
        return self._loads[name] is not None

    def _stores_of(self, names: tuple[str, ...]) -> tuple[_Convert, ...]:
        return tuple(self._stores[name] for name in names)

    def _select(self, names: tuple[str, ...], count: int) -> str:
        """Return a query for the rows with *count* numbers, and lock them where the rows can be."""
        where = f"WHERE id IN ({self._marks(count)}){self._locking}"
        return f"SELECT {self._listed(names)} FROM {self._table} {where}"  # noqa: S608  # our names

    def _insert(self, names: tuple[str, ...], rows: int = 1, *back: str) -> str:
        """Return an insertion of *rows* rows that gives the columns *back* of each."""
        values = ", ".join([f"({self._marks(len(names))})"] * rows)
        returning = f" RETURNING {self._listed(back)}" if back else ""
        into = f"{self._table} ({self._listed(names)})"
        return f"INSERT INTO {into} VALUES {values}{returning}"  # noqa: S608  # our own names

    def _upsert(self, names: tuple[str, ...], key: tuple[str, ...], *added: str) -> str:
        """Return an insertion that changes the row with the same *key*; columns *added* add up."""
        sets = []
        for name in (self._quoted[name] for name in names if name not in key):
            before = f"{self._table}.{name} + " if name in added else ""
            sets.append(f"{name} = {before}excluded.{name}")
        conflict = f" ON CONFLICT ({self._listed(key)}) DO UPDATE SET {', '.join(sets)}"
        return self._insert(names) + conflict

    def _update(self, names: tuple[str, ...]) -> str:
        """Return a change of *names*, then `id`."""
        sets = ", ".join(f"{self._quoted[name]} = {self._mark}" for name in names)
        return f"UPDATE {self._table} SET {sets} WHERE id = {self._mark}"  # noqa: S608  # our names

    def _listed(self, names: Iterable[str]) -> str:
        return ", ".join(self._quoted[name] for name in names)

    def _marks(self, count: int) -> str:
        return ", ".join([self._mark] * count)


def _store(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    """Return how a value is stored; the rows of one transaction have the same few times."""
    store: _Convert = kind.bind_processor(dialect)
    return lru_cache(maxsize=8)(store) if store and isinstance(kind, Instant) else store


def write_all(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run *statement* for each of *rows*; do nothing if there are none."""
    if rows:
        connection.exec_driver_sql(statement, rows[0] if len(rows) == 1 else list(rows))
