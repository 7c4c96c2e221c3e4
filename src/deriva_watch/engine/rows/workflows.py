"""The Workflow that a drop folder's Executions get: named in its settings, never made."""

from collections.abc import Callable, Mapping
from typing import Final

from deriva_watch.core.drop.drop_folder import Drop, NamedWorkflow
from deriva_watch.core.model import CatalogModel, Table
from deriva_watch.core.prose import closest
from deriva_watch.core.unicode_forms import ANOTHER_FORM, composed, with_forms
from deriva_watch.engine.ports import Catalog, Row

_WORKFLOW: Final = "Workflow"


def workflow_column(model: CatalogModel, execution: Table) -> str | None:
    """Return the column of the Execution that refers to the Workflow, or None."""
    workflow = model.ml_table(_WORKFLOW)
    key = execution.key_to(workflow.full_name) if workflow else None
    return key.columns[0] if key else None


def workflow_value(
    drop: Drop,
    model: CatalogModel,
    execution: Table,
    catalog: Catalog,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """Return the column and RID of the Workflow, or nothing if the Executions get none.

    *tell* a sentence if the catalog has its name in another Unicode form.

    Raises ValueError if the drop folder names none that exists, or must name one.
    """
    column = workflow_column(model, execution)
    if drop.workflow is None:
        if column and not execution.column[column].nullable:
            raise ValueError(f"{execution.full_name} must have a Workflow")
        return {}
    table = model.ml_table(_WORKFLOW)
    if table is None or column is None:
        raise ValueError(f"{execution.full_name} refers to no Workflow")
    wanted: Mapping[str, str] = {"RID": drop.workflow} if isinstance(drop.workflow, str) else {}
    if isinstance(drop.workflow, NamedWorkflow):
        wanted = {"Name": drop.workflow.name, "Version": drop.workflow.version}
    if missing := sorted(wanted.keys() - table.column.keys()):
        raise ValueError(f"{table.full_name} has no column {missing[0]}")
    rows = catalog.rows_where(table.full_name, wanted) or _respelled(wanted, table, catalog)
    if any(str(row[column]) != value for row in rows for column, value in wanted.items()):
        tell(f"{table.full_name} has its name or version {ANOTHER_FORM}")
    if len(rows) == 1:
        return {column: str(rows[0]["RID"])}
    about = " and ".join(f"{name} {value!r}" for name, value in wanted.items())
    if rows:
        found = ", ".join(sorted(row["RID"] for row in rows))
        raise ValueError(f"{len(rows)} rows ({found}) of {table.full_name} have {about}")
    near = ""
    if isinstance(drop.workflow, NamedWorkflow):
        name = drop.workflow.name
        near = closest(name, catalog.neighbours(table.full_name, "Name", name))
    raise ValueError(f"no row of {table.full_name} has {about}{near}")


def _respelled(wanted: Mapping[str, str], table: Table, catalog: Catalog) -> list[Row]:
    """Return the rows with the texts *wanted* in other Unicode forms."""
    if "Name" not in wanted or all(map(str.isascii, wanted.values())):
        return []
    texts = {column: composed(text) for column, text in wanted.items()}
    rows = catalog.rows_with(table.full_name, "Name", with_forms([texts["Name"]]))
    return [row for row in rows if {c: composed(row[c] or "") for c in texts} == texts]
