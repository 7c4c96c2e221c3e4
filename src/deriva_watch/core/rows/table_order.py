"""The order in which tables are filled: those that others refer to go first."""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from deriva_watch.core.model import CatalogModel, TableName


def levels(model: CatalogModel, tables: Iterable[TableName]) -> list[list[TableName]]:
    """Return *tables* in groups that refer only to tables of earlier groups.

    Cycles are broken in the order of the names.
    """
    wanted = sorted(set(tables))
    sorter = TopologicalSorter({table: _referred(model, table, wanted) for table in wanted})
    try:
        sorter.prepare()
    except CycleError:
        return [[table] for table in wanted]
    groups = []
    while sorter.is_active():
        ready = sorter.get_ready()
        groups.append(sorted(ready))
        sorter.done(*ready)
    return groups


def _referred(model: CatalogModel, table: TableName, among: list[TableName]) -> set[TableName]:
    keys = model.tables[table].foreign_keys if table in model.tables else ()
    return {key.target for key in keys if key.target in among and key.target != table}
