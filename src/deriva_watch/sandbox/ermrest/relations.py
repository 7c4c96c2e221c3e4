"""How the tables of a model are kept in SQLite."""

from typing import Final

from deriva_watch.sandbox.ermrest import values
from deriva_watch.sandbox.ermrest.model import Column, Model, Reference, Table, quoted

DELETED: Final = """
CREATE TABLE IF NOT EXISTS deleted (
  RID TEXT PRIMARY KEY, schema_name TEXT, table_name TEXT, deleted_at TEXT)
"""


def statements(model: Model, table: Table) -> list[str]:
    """Return the statements that make *table* and the indexes of its keys."""
    lines = [_column(column) for column in table.columns.values()]
    lines += [
        _reference(model, reference)
        for reference in table.references
        if reference.target in model.tables
    ]
    made = [f"CREATE TABLE {table.sql} ({', '.join(lines)})"]
    for number, key in enumerate(table.keys):
        index = quoted(f"{table.schema}:{table.name} key {number}")
        columns = ", ".join(map(quoted, key.columns))
        made.append(f"CREATE UNIQUE INDEX {index} ON {table.sql} ({columns})")
    return made


def _column(column: Column) -> str:
    kind = "TEXT"
    if not column.is_array:
        if column.type in values.INTEGER_BITS or column.type == "boolean":
            kind = "INTEGER"
        elif column.type in {"float4", "float8", "numeric"}:
            kind = "REAL"
    return f"{quoted(column.name)} {kind}"


def _reference(model: Model, reference: Reference) -> str:
    columns = ", ".join(map(quoted, reference.columns))
    key = ", ".join(map(quoted, reference.key_columns))
    target = model.tables[reference.target].sql
    actions = f"ON DELETE {reference.on_delete} ON UPDATE {reference.on_update}"
    return f"FOREIGN KEY ({columns}) REFERENCES {target} ({key}) {actions}"
