"""Our rights on the tables of a catalog, as its `/schema` document says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from deriva_watch.core.model import CatalogModel, Table, TableName

LEASE: Final = TableName("public", "ERMrest_RID_Lease")
LINKED: Final = ("Execution", "Asset_Type")  # tables of deriva-ml that an asset is linked to


@dataclass(frozen=True, slots=True)
class Rights:
    """Our rights on a catalog.

    Attributes:
        owner: We own the catalog.
        tables: By table and access ("select", "insert", …): True or False; None: it depends on
            the row.
    """

    owner: bool = False
    tables: Mapping[TableName, Mapping[str, bool | None]] = field(default_factory=dict)

    def lacks(self, access: str, table: TableName) -> bool:
        """Return True if we have no *access* to any row of *table*."""
        return not self.owner and self.tables.get(table, {}).get(access) is False

    def lacking(self, model: CatalogModel, table: Table) -> list[str]:
        """Return the missing rights that files of an asset table need, "insert schema:table"."""
        return [f"{a} {t}" for a, t in _needed(model, table) if self.lacks(a, t)]


def read_rights(document: Mapping[str, Any]) -> Rights:
    """Return the rights in a `/schema` document."""
    tables = {
        TableName(schema, name): table.get("rights", {})
        for schema, each in document["schemas"].items()
        for name, table in each["tables"].items()
    }
    return Rights(document.get("rights", {}).get("owner") is True, tables)


def _needed(model: CatalogModel, table: Table) -> Iterator[tuple[str, TableName]]:
    """Yield the rights that uploading a file needs: on its row and on its links."""
    yield from (("select", table.full_name), ("insert", table.full_name))
    for name in LINKED:
        other = model.ml_table(name)
        if other and (pair := model.find_association(table, other)):
            yield from (("select", pair.table), ("insert", pair.table))
