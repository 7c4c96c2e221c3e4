"""The constraints that PostgreSQL checks, with its error texts."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from deriva_watch.sandbox.ermrest import rid, values
from deriva_watch.sandbox.ermrest.catalog import Change
from deriva_watch.sandbox.ermrest.model import LEASES, Column, Model, Reference, Table, quoted
from deriva_watch.sandbox.ermrest.refusals import conflict, malformed, refused, violation
from deriva_watch.sandbox.ermrest.values import Stored

Row = dict[str, Stored]

INDEXED: Final = {"text", "longtext", "markdown", "json", "jsonb"}
LARGEST_INDEXED_BYTES: Final = 2704


def default_of(column: Column, change: Change, row_id: str) -> Stored:
    """Return the default of *column* in a row whose RID is *row_id*."""
    if column.name == "RID":
        return row_id
    if column.name in {"RCB", "RMB"}:
        return change.client_id
    if column.default == "now()":
        return values.from_text(column, change.stamp)
    if isinstance(column.default, str) and "{RID}" in column.default:
        return column.default.replace("{RID}", row_id)
    return values.from_json(column, column.default)


def check_nulls(inputs: Mapping[str, Column], rows: Iterable[Mapping[str, Stored]]) -> None:
    """Refuse rows without a value for a column that needs one.

    Raises:
        RefusedError: 409.
    """
    required = [name for name, column in inputs.items() if not column.nullok]
    for row in rows:
        for name in required:
            if row[name] is None:
                where = f'column "{name}" of relation "input_data"'
                raise conflict(f"null value in {where} violates not-null constraint")


def check_indexed(inputs: Mapping[str, Column], rows: Iterable[Mapping[str, Stored]]) -> None:
    """Refuse texts that are too long for the index of every text column.

    PostgreSQL compresses a long value before indexing it. DEFLATE with fixed codes and a window
    of 4 KiB is similar to its method.

    Raises:
        RefusedError: 400.
    """
    indexed = [
        name for name, column in inputs.items() if column.type in INDEXED and not column.is_array
    ]
    for row in rows:
        for name in indexed:
            value = str(row[name] or "").encode()
            if len(value) > LARGEST_INDEXED_BYTES and _packed_bytes(value) > LARGEST_INDEXED_BYTES:
                raise malformed(
                    f"index row size {_packed_bytes(value) + 16} exceeds btree version 4 maximum "
                    f'{LARGEST_INDEXED_BYTES} for index of column "{name}"'
                )


def _packed_bytes(value: bytes) -> int:
    packer = zlib.compressobj(1, zlib.DEFLATED, -12, strategy=zlib.Z_FIXED)
    return len(packer.compress(value)) + len(packer.flush())


def check_distinct(names: Sequence[str], rows: Iterable[Mapping[str, Stored]]) -> None:
    """Refuse rows that are equal in all of the columns *names*; a null equals nothing.

    Raises:
        RefusedError: 400, even if the request asks to skip conflicts.
    """
    keys = [key for key in (tuple(row[name] for name in names) for row in rows) if None not in key]
    if names and len(set(keys)) < len(keys):
        raise malformed("Multiple input rows share the same unique key information.")


def check_references(
    change: Change, model: Model, table: Table, names: Iterable[str], rows: Sequence[Row]
) -> None:
    """Refuse rows whose columns *names* refer to a row that does not exist.

    Raises:
        RefusedError: 409, even if the request asks to skip conflicts.
    """
    names = set(names)
    for reference in table.references:
        if names.isdisjoint(reference.columns) or reference.target not in model.tables:
            continue
        missing = _missing(change, model.tables[reference.target], reference, rows)
        if missing:
            key = f"({', '.join(reference.columns)})=({', '.join(map(str, missing))})"
            raise violation(
                f'insert or update on table "{table.name}" violates foreign key constraint '
                f'"{reference.name}"\nDETAIL:  Key {key} is not present in table '
                f'"{reference.target[1]}".'
            )


def _missing(
    change: Change, target: Table, reference: Reference, rows: Sequence[Row]
) -> list[Any] | None:
    wanted = {tuple(row[name] for name in reference.columns) for row in rows}
    matches = " AND ".join(
        f"{quoted(name)} = json_extract(each.value, '$[{at}]')"
        for at, name in enumerate(reference.key_columns)
    )
    row = change.connection.execute(
        "SELECT each.value FROM json_each(?) AS each "
        f"WHERE NOT EXISTS (SELECT 1 FROM {target.sql} WHERE {matches})",
        (orjson.dumps([key for key in wanted if None not in key]).decode(),),
    ).fetchone()
    return list(orjson.loads(row[0])) if row else None


def duplicate(table: Table, error: sqlite3.IntegrityError, row: Mapping[str, Stored]) -> Exception:
    """Return the 409 for a row whose key is taken, in place of SQLite's *error*."""
    text = str(error)
    for key in table.keys:
        columns = ", ".join(f"{table.schema}:{table.name}.{name}" for name in key.columns)
        if text == f"UNIQUE constraint failed: {columns}":
            names = ", ".join(map(quoted, key.columns))
            taken = ", ".join(str(row.get(name)) for name in key.columns)
            return violation(
                f'duplicate key value violates unique constraint "{key.name}"\n'
                f"DETAIL:  Key ({names})=({taken}) already exists."
            )
    return violation(text)


def claim_leases(change: Change, model: Model, rids: Sequence[str]) -> None:
    """Use up the client's leases of *rids*.

    Measured: everybody but the catalog's owner needs a lease for each RID. The server deletes
    it before the insert, even if the row is then skipped. It is restored by the rollback if
    the request is refused.

    Raises:
        RefusedError: 403, one of them is not leased, or leased by another client.
    """
    leases = model.tables[LEASES].sql
    own = f"{leases} WHERE RCB = ? AND RID IN (SELECT value FROM json_each(?))"
    parameters = (change.client_id, orjson.dumps(rids).decode())
    leased = {row[0] for row in change.connection.execute(f"SELECT RID FROM {own}", parameters)}
    for each in rids:
        if each not in leased:
            raise refused(403, f"insert access on column \"RID\" with non-leased value '{each}'")
    change.connection.execute(f"DELETE FROM {own}", parameters)


def check_rids(rids: Iterable[str]) -> None:
    """Refuse RIDs with characters outside the alphabet.

    Raises:
        RefusedError: 409.
    """
    for each in rids:
        try:
            number = rid.decode(each)
        except ValueError as error:
            detail = f"22P02\nDETAIL:  {each}\nHINT:  Invalid character: '{error}'"
            raise conflict(detail) from None
        if number >= 1 << 63:
            raise conflict(f"22P02\nDETAIL:  {each}\nHINT:  bigint out of range")
