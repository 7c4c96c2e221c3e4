"""Feature values: which table holds those of a feature, and which of its columns name files."""

from collections.abc import Mapping
from typing import Any

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import ML_SCHEMA, SYSTEM_COLUMNS, CatalogModel, Table, TableName

EXECUTION = TableName(ML_SCHEMA, "Execution")
FEATURE_NAME = TableName(ML_SCHEMA, "Feature_Name")


def feature_table(model: CatalogModel, schema: str, target: str, feature: str) -> Table:
    """Return the table of a feature of the rows of *target*.

    It refers to *target*, Execution and Feature_Name, and the default of its reference to
    Feature_Name is the feature. If no table has that default, deriva-ml's name for it decides.

    Raises:
        RefusedError: There is no such table, or more than one.
    """
    own = TableName(schema, target)
    about = model.name_to_table(own if own in model.tables else target).full_name
    tables = [table for table in model.tables.values() if _is_feature_of(table, about)]
    found = [table for table in tables if _default_name(table) == feature] or [
        table for table in tables if table.name == f"Execution_{target}_{feature}"
    ]
    if len(found) == 1:
        return found[0]
    said = ", ".join(str(table.full_name) for table in found or tables) or "none"
    raise RefusedError(
        what=f"it is not clear where values of the feature {feature!r} of {about} go",
        why=f"{'several tables hold' if found else 'no table holds'} them ({said})",
        next="Name the folders after an existing feature: <schema>/<table>/<feature>.",
    )


def _is_feature_of(table: Table, about: TableName) -> bool:
    return all(table.key_to(target) for target in (about, EXECUTION, FEATURE_NAME))


def _default_name(table: Table) -> Any:
    key = table.key_to(FEATURE_NAME)
    return table.column[key.columns[0]].default if key else None


def filled(table: Table, execution: str, feature: str) -> dict[str, Any]:
    """Return the values of a feature's row that its writer may leave out."""
    keys = ((EXECUTION, execution), (FEATURE_NAME, feature))
    return {key.columns[0]: value for target, value in keys if (key := table.key_to(target))}


def asset_columns(model: CatalogModel, table: Table) -> Mapping[str, TableName]:
    """Return the columns of *table* that name a row of an asset table by its RID."""
    return {
        key.columns[0]: key.target
        for key in table.foreign_keys
        if key.target_columns == ("RID",)
        and key.columns[0] not in SYSTEM_COLUMNS
        and key.target in model.tables
        and model.is_asset(key.target)
    }
