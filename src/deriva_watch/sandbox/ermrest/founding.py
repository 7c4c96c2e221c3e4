"""Makes a catalog: its tables in SQLite, and its first rows."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from deriva_watch.sandbox.database import Database
from deriva_watch.sandbox.ermrest import values
from deriva_watch.sandbox.ermrest.catalog import Change
from deriva_watch.sandbox.ermrest.constraints import default_of
from deriva_watch.sandbox.ermrest.model import Model, Table, quoted
from deriva_watch.sandbox.ermrest.relations import DELETED, statements
from deriva_watch.sandbox.identity import OWNER, WRITER, Client
from deriva_watch.sandbox.refusal import RefusedError

FIRST_RID: Final = 1000
CLIENTS: Final = [
    {"ID": each, "Display_Name": each, "Full_Name": each, "Client_Object": {"id": each}}
    for each in (OWNER, WRITER)
]


def found(file: Path, catalog_id: str, schema: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Make the catalog in *file* in one transaction; leave an existing catalog as it is.

    Args:
        file: The database.

        catalog_id: The catalog's number.

        schema: The text of a ``/schema`` document, in which ``${catalog}``,
            ``${owner_id}`` and ``${writer_id}`` are replaced by the values of this server.

        rows: ``{"table": "schema:table", "rows": [...]}``. A given RID is kept.

    Raises:
        ValueError: The document is invalid, or a row does not match it.
    """
    for name, value in (("catalog", catalog_id), ("owner_id", OWNER), ("writer_id", WRITER)):
        schema = schema.replace("${" + name + "}", value)
    document = orjson.loads(schema)
    try:
        model = Model(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no /schema document: {error!r}") from error
    with Database(file).writing() as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            return
        connection.execute("PRAGMA defer_foreign_keys = ON")  # rows may come in any order
        for table in model.tables.values():
            for statement in statements(model, table):
                connection.execute(statement)
        connection.execute(DELETED)
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value)")
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("id", catalog_id),
                ("document", orjson.dumps(document).decode()),
                ("next_rid", FIRST_RID),
            ],
        )
        _fill(Change(connection, Client(OWNER)), model, rows)
        dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
        if dangling:
            raise ValueError(f"a row of {dangling[0]} refers to {dangling[2]}, where it is not")


def _fill(change: Change, model: Model, parts: Iterable[Mapping[str, Any]]) -> None:
    clients = {"table": "public:ERMrest_Client", "rows": CLIENTS}
    try:
        rows = [
            (model.find(name, schema), row)
            for part in (clients, *parts)
            for schema, _, name in [part["table"].partition(":")]
            for row in part["rows"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f'rows are not [{{"table": .., "rows": [..]}}]: {error!r}') from error
    except RefusedError as refusal:
        raise ValueError(f"cannot load rows: {refusal.text}") from refusal
    change.skip_rids(row["RID"] for _, row in rows if row.get("RID"))
    for table, row in rows:
        _store(change, table, row)


def _store(change: Change, table: Table, row: Mapping[str, Any]) -> None:
    """Store one row; missing values get their defaults."""
    row_id = row.get("RID") or change.issue_rids(1)[0]
    stored = [
        values.from_json(column, row[name]) if name in row else default_of(column, change, row_id)
        for name, column in table.columns.items()
    ]
    names = ", ".join(map(quoted, table.columns))
    marks = ", ".join("?" * len(stored))
    try:
        change.connection.execute(f"INSERT INTO {table.sql} ({names}) VALUES ({marks})", stored)
    except sqlite3.IntegrityError as error:
        raise ValueError(f"cannot load a row of {table}: {error}: {row}") from error
