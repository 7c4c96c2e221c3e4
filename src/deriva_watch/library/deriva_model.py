"""A catalog's model as the functions of the library need it, on deriva's own bindings."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from deriva_watch.core.errors import DerivaMLException
from deriva_watch.core.model import ASSET_COLUMNS, FILE_COLUMNS, SYSTEM_COLUMNS, TERM_COLUMNS


class DerivaModel:
    """What the functions of this package need of a catalog.

    deriva-ml's own model has these members too and can be passed instead. Wherever a table is
    wanted, a table of the bindings or its name will do: "schema:table", or the table alone where
    only one schema has it.

    Args:
        catalog: An `ErmrestCatalog` of the bindings; its schema is read at once.

    Attributes:
        catalog: The same.
        model: The bindings' model of it.

    Raises:
        DerivaMLException: The schema cannot be read.
    """

    def __init__(self, catalog: Any) -> None:
        self.catalog = catalog
        try:
            self.model = catalog.getCatalogModel()
        except requests.RequestException as error:
            where = f"catalog {catalog.catalog_id} of {urlsplit(catalog.get_server_uri()).netloc}"
            raise DerivaMLException(f"cannot read the model of {where}: {error}") from error

    @property
    def hostname(self) -> str:
        """Name of the server, without a port."""
        return urlsplit(self.catalog.get_server_uri()).hostname or ""

    def name_to_table(self, table: Any) -> Any:
        """Return the bindings' table of that name; DerivaMLException unless there is just one."""
        if not isinstance(table, str):
            return table
        schema, _, name = table.rpartition(":")
        found = [
            each
            for each in self._tables()
            if each.name == name and (not schema or each.schema.name == schema)
        ]
        if len(found) == 1:
            return found[0]
        if not found:
            raise DerivaMLException(f"the catalog has no table {table}")
        names = ", ".join(f"{each.schema.name}:{each.name}" for each in found)
        raise DerivaMLException(f"several schemas have a table {table}: {names}")

    def is_asset(self, table: Any) -> bool:
        """Return whether rows of a table describe stored files."""
        return self._columns(table) >= FILE_COLUMNS

    def is_vocabulary(self, table: Any) -> bool:
        """Return whether rows of a table are terms."""
        return self._columns(table) >= TERM_COLUMNS

    def find_assets(self) -> list[Any]:
        """Return the asset tables."""
        return [table for table in self._tables() if self.is_asset(table)]

    def asset_metadata(self, table: Any) -> set[str]:
        """Return the columns of an asset table that say something about the content of a file.

        Raises:
            DerivaMLException: It is not an asset table.
        """
        table = self.name_to_table(table)
        if not self.is_asset(table):
            raise DerivaMLException(f"table {table.name} is not an asset table")
        return self._columns(table) - ASSET_COLUMNS - SYSTEM_COLUMNS

    def find_association(self, table1: Any, table2: Any) -> tuple[Any, Any, Any]:
        """Return the table that links rows of two tables, with its columns for either.

        Its rows are unique by the pair.

        Raises:
            DerivaMLException: There is no such table, or more than one.
        """
        one, other = self.name_to_table(table1), self.name_to_table(table2)
        found = [link for table in self._tables() if (link := _association(table, one, other))]
        if len(found) == 1:
            return found[0]
        why = f"{len(found)} tables link" if found else "no table links"
        raise DerivaMLException(f"{why} {one.name} to {other.name}")

    def _tables(self) -> Iterator[Any]:
        for schema in self.model.schemas.values():
            yield from schema.tables.values()

    def _columns(self, table: Any) -> set[str]:
        return {column.name for column in self.name_to_table(table).columns}


def _association(table: Any, one: Any, other: Any) -> tuple[Any, Any, Any] | None:
    """Return a table with its references to *one* and *other*, if the pair is a key of it."""
    keys = [{column.name for column in key.unique_columns} for key in table.keys]
    single = [key for key in table.foreign_keys if len(key.foreign_key_columns) == 1]
    for left in (key for key in single if key.pk_table is one):
        for right in (key for key in single if key.pk_table is other and key is not left):
            first, second = left.foreign_key_columns[0], right.foreign_key_columns[0]
            if {first.name, second.name} in keys:
                return table, first, second
    return None
