"""How an existing row is updated, as deriva-py's uploader does it."""

from collections.abc import Mapping, Sequence
from typing import Any

from deriva_watch.core.model import SYSTEM_COLUMNS, Table
from deriva_watch.core.spec.mapping import AssetMapping
from deriva_watch.core.values import same

_Row = Mapping[str, Any]
_NOT_COMPARED = {"json", "jsonb"}  # PostgreSQL cannot look for such a value


def differences(table: Table, mapping: AssetMapping, old: _Row, new: _Row) -> list[str]:
    """Return the columns in which *new*, made by the column map, differs from the row.

    A column for which the file has no value is left out, unless it may be set to NULL.
    """
    return [
        column
        for column in mapping.column_map
        if column in new
        and column not in SYSTEM_COLUMNS
        and not same(table.column[column], old.get(column), new[column])
    ]


def unsafe(table: Table, mapping: AssetMapping, old: _Row) -> bool:
    """Return True if the columns of the map may also find other rows."""
    given = {column for column in mapping.column_map if old.get(column) is not None}
    return not any(key <= given for key in table.keys)


def replaced(
    table: Table, mapping: AssetMapping, old: _Row, new: _Row, changed: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns with old values that find the row, and the new values."""
    found_by = {
        column: old.get(column)
        for column in mapping.column_map
        if (column in new or column == "RID") and table.column[column].type not in _NOT_COMPARED
    }
    return found_by, {column: new[column] for column in changed}
