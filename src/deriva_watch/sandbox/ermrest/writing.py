"""Inserting, updating and deleting rows: one request, one transaction."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from deriva_watch.sandbox.ermrest import constraints, values
from deriva_watch.sandbox.ermrest.catalog import Caller, Catalog, Change
from deriva_watch.sandbox.ermrest.constraints import Row
from deriva_watch.sandbox.ermrest.model import LEASES, SYSTEM_COLUMNS, Column, Table, quoted
from deriva_watch.sandbox.ermrest.paths import DataPath
from deriva_watch.sandbox.ermrest.records import read_rows
from deriva_watch.sandbox.ermrest.refusals import conflict, denied, refused, violation
from deriva_watch.sandbox.ermrest.values import Stored

Answer = list[dict[str, Any]]

STAMPED_ON_UPDATE: Final = ("RMT", "RMB")


@dataclass(frozen=True, slots=True)
class Body:
    """What a client sent: the bytes and their media type."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class InsertOptions:
    """The query parameters of an insert.

    Attributes:
        defaults: Columns that take their default, whatever the rows say.

        nondefaults: System columns that take the value of the rows.

        skip: Whether rows whose key is taken are skipped silently.
    """

    defaults: set[str] = field(default_factory=set)
    nondefaults: set[str] = field(default_factory=set)
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """What an update does.

    Attributes:
        table: The table.

        keys: Columns to find rows by, by the names they have in the request.

        targets: Columns to write, likewise.
    """

    table: Table
    keys: Mapping[str, Column]
    targets: Mapping[str, Column]


def insert(
    catalog: Catalog, caller: Caller, table: Table, body: Body, options: InsertOptions
) -> Answer:
    """Insert rows and return those that were inserted, in the order sent.

    Measured: a RID sent by a client is replaced silently unless *options.nondefaults* has
    it. The answer to a repeated request has the new rows, not the existing ones.

    Raises:
        RefusedError: A row is refused; then none is stored.
    """
    for name in options.defaults - options.nondefaults:
        table.column(name)
    defaulted = (options.defaults | set(SYSTEM_COLUMNS)) - options.nondefaults
    given = {name: column for name, column in table.columns.items() if name not in defaulted}
    if not given:
        raise conflict("Entity insertion requires at least one non-defaulting column.")
    rows = read_rows(table.columns, defaulted, body.content, body.content_type)
    constraints.check_nulls(given, rows)
    constraints.check_indexed(given, rows)
    key_columns = {name for key in table.keys for name in key.columns}
    constraints.check_distinct([name for name in given if name in key_columns], rows)
    catalog.model.enforce(caller.client, "insert", table)

    with catalog.change(caller) as change:
        if "RID" in given:
            _bring_rids(catalog, caller, change, [str(row["RID"]) for row in rows])
        else:
            for row, rid in zip(rows, change.issue_rids(len(rows)), strict=True):
                row["RID"] = rid
        for row in rows:
            _fill_defaults(change, table, defaulted, row)
        inserted = [row for row in rows if _insert_row(change, table, row, skip=options.skip)]
        constraints.check_references(change, catalog.model, table, table.columns, inserted)
    return [_shown(table.columns, row) for row in inserted]


def _bring_rids(catalog: Catalog, caller: Caller, change: Change, rids: Sequence[str]) -> None:
    if not catalog.model.is_owner(caller.client):
        constraints.claim_leases(change, catalog.model, rids)
    constraints.check_rids(rids)
    change.skip_rids(rids)


def _fill_defaults(change: Change, table: Table, defaulted: set[str], row: Row) -> None:
    for name in (defaulted | set(STAMPED_ON_UPDATE)) - {"RID"}:
        if name in table.columns:
            row[name] = constraints.default_of(table.columns[name], change, str(row["RID"]))


def _insert_row(change: Change, table: Table, row: Row, *, skip: bool) -> bool:
    """Insert one row; return whether it was inserted."""
    names = ", ".join(map(quoted, table.columns))
    marks = ", ".join("?" * len(table.columns))
    otherwise = " ON CONFLICT DO NOTHING" if skip else ""
    sql = f"INSERT INTO {table.sql} ({names}) VALUES ({marks}){otherwise}"
    try:
        cursor = change.connection.execute(sql, [row[name] for name in table.columns])
    except sqlite3.IntegrityError as error:
        raise constraints.duplicate(table, error, row) from None
    return cursor.rowcount == 1


def update(catalog: Catalog, caller: Caller, assignment: Assignment, body: Body) -> Answer:
    """Write to all rows that *assignment* finds, and return what was written.

    Rows without a match are left out of the answer; that is not an error.

    Raises:
        RefusedError: A row is refused; then none is written.
    """
    table, inputs = assignment.table, {**assignment.keys, **assignment.targets}
    rows = read_rows(inputs, set(), body.content, body.content_type)
    constraints.check_nulls(inputs, rows)
    constraints.check_indexed(inputs, rows)
    constraints.check_distinct(list(assignment.keys), rows)
    catalog.model.enforce(caller.client, "update", table)
    for column in assignment.targets.values():
        if column.name in SYSTEM_COLUMNS:
            raise denied(caller.client, f"update access on column {column.name} of {table}")

    written: list[Row] = []
    answer: Answer = []
    with catalog.change(caller) as change:
        for row in rows:
            found = _update_rows(change, assignment, row)
            written += found
            answer += [
                _shown(inputs, {**row, **_renamed(assignment.targets, each)}) for each in found
            ]
        names = [column.name for column in assignment.targets.values()]
        constraints.check_references(change, catalog.model, table, names, written)
    return answer


def _update_rows(change: Change, assignment: Assignment, row: Row) -> list[Row]:
    table, keys, targets = assignment.table, assignment.keys, assignment.targets
    assigned = {column.name: row[name] for name, column in targets.items()}
    assigned.update({"RMT": change.stamp, "RMB": change.client_id})
    assigned = {name: value for name, value in assigned.items() if name in table.columns}
    sql = (
        f"UPDATE {table.sql} SET {', '.join(f'{quoted(name)} = ?' for name in assigned)} "
        f"WHERE {' AND '.join(f'{quoted(column.name)} IS ?' for column in keys.values())} "
        f"RETURNING {', '.join(map(quoted, table.columns))}"
    )
    parameters = [*assigned.values(), *(row[name] for name in keys)]
    try:
        found = change.connection.execute(sql, parameters).fetchall()
    except sqlite3.IntegrityError as error:
        stored = {column.name: row[name] for name, column in {**keys, **targets}.items()}
        raise constraints.duplicate(table, error, stored) from None
    return [dict(each) for each in found]


def _renamed(inputs: Mapping[str, Column], row: Row) -> Row:
    return {name: row[column.name] for name, column in inputs.items()}


def upsert(catalog: Catalog, caller: Caller, table: Table, body: Body) -> Answer:
    """Update the rows that have the same keys, and insert the others; return all of them.

    Raises:
        RefusedError: 409, also if the RID is the only key: the server compares only keys that
            clients manage.
    """
    own = {name: column for name, column in table.columns.items() if name not in SYSTEM_COLUMNS}
    keys = {name: own[name] for key in table.keys for name in key.columns if name in own}
    if not keys:
        raise conflict("Entity PUT requires at least one client-managed key for input correlation.")
    targets = {name: column for name, column in own.items() if name not in keys}
    assignment = Assignment(table, keys, targets)
    rows = read_rows(own, set(), body.content, body.content_type)
    constraints.check_nulls(own, rows)
    constraints.check_indexed(own, rows)
    constraints.check_distinct(list(keys), rows)
    catalog.model.enforce(caller.client, "update", table)
    catalog.model.enforce(caller.client, "insert", table)

    answer: Answer = []
    with catalog.change(caller) as change:
        for row in rows:
            if not _update_rows(change, assignment, row):
                (row["RID"],) = change.issue_rids(1)
                _fill_defaults(change, table, set(SYSTEM_COLUMNS), row)
                _insert_row(change, table, row, skip=True)
            answer.append(_shown(own, row))
        constraints.check_references(change, catalog.model, table, own, rows)
    return answer


def delete(catalog: Catalog, caller: Caller, path: DataPath) -> None:
    """Delete the rows that *path* leads to.

    Raises:
        RefusedError: 404, there is none; 403; 409, another row refers to one.
    """
    table, client = path.table, caller.client
    may_delete_all = table.identity != LEASES or catalog.model.is_owner(client)
    if may_delete_all:
        catalog.model.enforce(client, "delete", table)
    with catalog.change(caller) as change:
        sql, parameters = path.select_numbers()
        numbers = [row[0] for row in change.connection.execute(sql, parameters)]
        if not numbers:
            raise refused(404, "entities")
        marked = orjson.dumps(numbers).decode()
        rows = f"{table.sql} WHERE rowid IN (SELECT value FROM json_each(?))"
        if not may_delete_all:
            others = f"SELECT 1 FROM {rows} AND RCB IS NOT ?"
            if change.connection.execute(others, (marked, change.client_id)).fetchone():
                raise denied(client, f"delete access on one or more rows of {table}")
        change.connection.execute("PRAGMA defer_foreign_keys = OFF")
        keep_trace(change, table, rows, [marked])
        try:
            change.connection.execute(f"DELETE FROM {rows}", (marked,))
        except sqlite3.IntegrityError:
            raise violation(
                f'update or delete on table "{table.name}" violates foreign key constraint'
                "\nDETAIL:  It is still referenced from another table."
            ) from None


def keep_trace(change: Change, table: Table, rows: str, parameters: Sequence[Any]) -> None:
    """Keep the RIDs of rows that will be deleted: ``/entity_rid`` still knows them."""
    if "RID" in table.columns:
        change.connection.execute(
            f"INSERT OR REPLACE INTO deleted SELECT RID, ?, ?, ? FROM {rows}",
            (table.schema, table.name, change.stamp, *parameters),
        )


def clear(catalog: Catalog, caller: Caller, path: DataPath, columns: Sequence[Column]) -> None:
    """Set *columns* of the rows that *path* leads to to null.

    Raises:
        RefusedError: 404, there is no row; 403; 409, a column is part of a key or takes no null.
    """
    table = path.table
    catalog.model.enforce(caller.client, "update", table)
    for column in columns:
        if column.name in SYSTEM_COLUMNS:
            raise denied(caller.client, f"update access on column {column.name} of {table}")
    with catalog.change(caller) as change:
        sql, parameters = path.select_numbers()
        numbers = [row[0] for row in change.connection.execute(sql, parameters)]
        if not numbers:
            raise refused(404, "entities")
        names = {column.name for column in columns}
        if any(names & set(key.columns) for key in table.keys):
            raise conflict(f"A column of a key of {table} cannot be deleted.")
        constraints.check_nulls(
            {column.name: column for column in columns}, [dict.fromkeys(names, None)]
        )
        stamps = {"RMT": change.stamp, "RMB": change.client_id}
        assigned = {
            **dict.fromkeys(names),
            **{name: value for name, value in stamps.items() if name in table.columns},
        }
        change.connection.execute(
            f"UPDATE {table.sql} SET {', '.join(f'{quoted(name)} = ?' for name in assigned)} "
            "WHERE rowid IN (SELECT value FROM json_each(?))",
            [*assigned.values(), orjson.dumps(numbers).decode()],
        )


def _shown(inputs: Mapping[str, Column], row: Mapping[str, Stored]) -> dict[str, Any]:
    return {name: values.to_json(column, row[name]) for name, column in inputs.items()}
