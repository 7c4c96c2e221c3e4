"""Changes the tables in SQLite to a new model: makes new ones and copies the rows."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import sqlite3
from collections.abc import Mapping
from typing import Any

from deriva_watch.sandbox.ermrest import values
from deriva_watch.sandbox.ermrest.catalog import Caller, Catalog, Change
from deriva_watch.sandbox.ermrest.model import Model, Table, quoted
from deriva_watch.sandbox.ermrest.refusals import conflict
from deriva_watch.sandbox.ermrest.relations import statements
from deriva_watch.sandbox.ermrest.writing import keep_trace

Names = Mapping[tuple[str, str], tuple[str, str]]  # renamed tables: old name by new name
Columns = Mapping[
    tuple[str, str, str], str
]  # renamed columns: old name by (schema, table, new name)


def apply(
    catalog: Catalog,
    caller: Caller,
    document: dict[str, Any],
    moved: Names | None = None,
    columns: Columns | None = None,
) -> None:
    """Make *document* the model: rebuild the tables that differ, and check all rows.

    Raises:
        RefusedError: 409, the rows violate the model; then nothing is changed.
    """
    old = catalog.model
    with catalog.remodel(caller, document) as (change, new):
        _check_names(new)
        for identity, table in new.tables.items():
            before = old.tables.get((moved or {}).get(identity, identity))
            if before is None:
                for statement in statements(new, table):
                    change.connection.execute(statement)
            elif statements(old, before) != statements(new, table):
                _rebuild(change, new, before, table, columns or {})
            _check_nulls(change, table)
        kept = {(moved or {}).get(identity, identity) for identity in new.tables}
        for identity, table in old.tables.items():
            if identity not in kept:
                keep_trace(change, table, table.sql, [])
                change.connection.execute(f"DROP TABLE {table.sql}")
        broken = change.connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken:
            raise conflict(
                f'insert or update on table "{broken[0]}" violates foreign key constraint'
            )


def _rebuild(change: Change, model: Model, old: Table, new: Table, columns: Columns) -> None:
    """Rebuild a table with its rows."""
    rows = quoted("rows to keep")
    change.connection.execute(f"CREATE TEMP TABLE {rows} AS SELECT * FROM {old.sql}")
    change.connection.execute(f"DROP TABLE {old.sql}")
    made, *indexes = statements(model, new)
    change.connection.execute(made)
    sources = {name: columns.get((*new.identity, name), name) for name in new.columns}
    picks, parameters = [], list[values.Stored]()
    for name, source in sources.items():
        if source in old.columns:
            picks.append(quoted(source))
        else:
            picks.append("?")
            parameters.append(values.from_json(new.columns[name], new.columns[name].default))
    names = ", ".join(map(quoted, sources))
    filled = f"INSERT INTO {new.sql} ({names}) SELECT {', '.join(picks)} FROM {rows}"
    change.connection.execute(filled, parameters)
    change.connection.execute(f"DROP TABLE {rows}")
    try:
        for statement in indexes:
            change.connection.execute(statement)
    except sqlite3.IntegrityError as error:
        raise conflict(f"could not create unique index: {error}") from None


def _check_nulls(change: Change, table: Table) -> None:
    required = [quoted(name) for name, column in table.columns.items() if not column.nullok]
    if required:
        where = " OR ".join(f"{name} IS NULL" for name in required)
        if change.connection.execute(f"SELECT 1 FROM {table.sql} WHERE {where} LIMIT 1").fetchone():
            raise conflict(f'column of relation "{table.name}" contains null values')


def _check_names(model: Model) -> None:
    """Refuse keys and foreign keys of columns or tables that do not exist."""
    for table in model.tables.values():
        for key in table.keys:
            for name in key.columns:
                table.column(name)
        for reference in table.references:
            for name in reference.columns:
                table.column(name)
            if reference.target in model.tables:
                target = model.tables[reference.target]
                if not any(set(key.columns) == set(reference.key_columns) for key in target.keys):
                    raise conflict(f"{target} has no key {reference.key_columns}.")
