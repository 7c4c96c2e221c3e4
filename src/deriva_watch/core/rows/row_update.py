"""How a row that is there already is brought up to date, as deriva-py's uploader does it."""

from collections.abc import Mapping, Sequence
from typing import Any

from deriva_watch.core.model import SYSTEM_COLUMNS, Table
from deriva_watch.core.spec.mapping import AssetMapping
from deriva_watch.core.values import same

_Row = Mapping[str, Any]
_NOT_COMPARED = {"json", "jsonb"}  # PostgreSQL cannot look for such a value


def differences(table: Table, mapping: AssetMapping, old: _Row, new: _Row) -> list[str]:
    """Return the columns in which *new*, what the column map makes, is not what the row has.

    A column of which the file says nothing is none of them, unless it may be made empty.
    """
    return [
        column
        for column in mapping.column_map
        if column in new
        and column not in SYSTEM_COLUMNS
        and not same(table.column[column], old.get(column), new[column])
    ]


def unsafe(table: Table, mapping: AssetMapping, old: _Row) -> bool:
    """Tell whether the columns of the map may find other rows than this one as well."""
    given = {column for column in mapping.column_map if old.get(column) is not None}
    return not any(key <= given for key in table.keys)


def replaced(
    table: Table, mapping: AssetMapping, old: _Row, new: _Row, changed: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return by which columns, with their old values, the row is found, and what it gets."""
    found_by = {
        column: old.get(column)
        for column in mapping.column_map
        if (column in new or column == "RID") and table.column[column].type not in _NOT_COMPARED
    }
    return found_by, {column: new[column] for column in changed}
