"""The parts of a catalog's schema that we need, as values read from its `/schema` document.

Names of tables and columns are never hard-coded: a table is an asset, a vocabulary or an
association because of its definition. The only fixed name is the schema of deriva-ml itself, which
is also in every path.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from deriva_watch.core.errors import RefusedError

ML_SCHEMA: Final = "deriva-ml"
FILE_COLUMNS: Final = frozenset({"URL", "Filename", "Length", "MD5"})
ASSET_COLUMNS: Final = FILE_COLUMNS | {"Description"}
SYSTEM_COLUMNS: Final = frozenset({"RID", "RCT", "RMT", "RCB", "RMB"})
TERM_COLUMNS: Final = frozenset({"ID", "URI", "Name", "Description", "Synonyms"})


class TableName(NamedTuple):
    """A table's full name."""

    schema: str
    table: str

    def __str__(self) -> str:
        """As ERMrest and the journal write it."""
        return f"{self.schema}:{self.table}"

    @classmethod
    def parse(cls, text: str) -> "TableName":
        """Read "schema:table"."""
        schema, _, table = text.partition(":")
        return cls(schema, table)


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `type` is ERMrest's typename, `default` what ERMrest says of it."""

    name: str
    type: str
    nullable: bool
    has_default: bool
    default: Any = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns of one table that name a row of another."""

    columns: tuple[str, ...]
    target: TableName
    target_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema, as the bindings' own model names it: `table.schema.name`."""

    name: str


@dataclass(frozen=True)
class Table:
    """A table's definition."""

    schema: Schema
    name: str
    columns: tuple[Column, ...]
    keys: tuple[frozenset[str], ...]
    foreign_keys: tuple[ForeignKey, ...]

    @cached_property
    def full_name(self) -> TableName:
        """Schema and table."""
        return TableName(self.schema.name, self.name)

    @cached_property
    def column(self) -> Mapping[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def natural_keys(self) -> tuple[frozenset[str], ...]:
        """The keys of which the system fills no column."""
        return tuple(key for key in self.keys if not key & SYSTEM_COLUMNS)

    def key_to(self, target: TableName) -> ForeignKey | None:
        """Return the first single-column foreign key to *target*."""
        found = (key for key in self.foreign_keys if key.target == target and len(key.columns) == 1)
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Association:
    """A table whose key is a pair of references: an asset to an execution, or to a term.

    Attributes:
        table: The association table.
        own: Its column that names the asset row (by RID).
        other: Its column that names the other row.
        target: The table that `other` refers to.
        others: Further columns that a row must give, by the table they refer to.
    """

    table: TableName
    own: str
    other: str
    target: TableName
    others: Mapping[TableName, str]


@dataclass(frozen=True)
class CatalogModel:
    """The tables of a catalog.

    The members that the bulk spec is made from have the names that deriva-ml's own model gives
    them, so that either can be passed.
    """

    tables: Mapping[TableName, Table]
    annotations: Mapping[str, Any] = field(default_factory=dict)  # of the catalog itself
    digest: str = ""  # of the document that it was read from
    _associations: dict[tuple[TableName, TableName], Association | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # the answers of `find_association`: it goes through all tables, and every link asks

    def name_to_table(self, table: "str | TableName | Table") -> Table:
        """Return the table of that name; a bare name must be unique, else raise RefusedError."""
        if isinstance(table, Table):
            return table
        if isinstance(table, TableName) or ":" in table:
            wanted = table if isinstance(table, TableName) else TableName.parse(table)
            found = [self.tables[wanted]] if wanted in self.tables else []
        else:
            found = [value for name, value in self.tables.items() if name.table == table]
        if len(found) == 1:
            return found[0]
        raise RefusedError(
            what=f"there is no table to call {str(table)!r}",
            why="the catalog has no such table"
            if not found
            else "several schemas have one: " + ", ".join(str(t.full_name) for t in found),
            next="Name an existing table, with its schema where the name alone is not unique.",
        )

    def is_asset(self, table: "str | TableName | Table") -> bool:
        """Return True if rows of *table* describe stored files."""
        return self.name_to_table(table).column.keys() >= FILE_COLUMNS

    def is_vocabulary(self, table: "str | TableName | Table") -> bool:
        """Return True if rows of *table* are terms."""
        return self.name_to_table(table).column.keys() >= TERM_COLUMNS

    def find_assets(self) -> list[Table]:
        """Return the asset tables, in the order of the model."""
        return [table for table in self.tables.values() if self.is_asset(table)]

    def asset_metadata(self, table: "str | TableName | Table") -> set[str]:
        """Return the names of the columns that hold metadata of a file."""
        return self.name_to_table(table).column.keys() - ASSET_COLUMNS - SYSTEM_COLUMNS

    def find_association(
        self, one: "str | TableName | Table", other: "str | TableName | Table"
    ) -> Association | None:
        """Return the table that links rows of *one* to rows of *other*, or None.

        Its rows are unique by the pair, so a link can be sent again without harm.
        """
        pair = self.name_to_table(one).full_name, self.name_to_table(other).full_name
        if pair not in self._associations:
            self._associations[pair] = self._association(*pair)
        return self._associations[pair]

    def _association(self, first: TableName, second: TableName) -> Association | None:
        for table in self.tables.values():
            left, right = table.key_to(first), table.key_to(second)
            if left and right and frozenset(left.columns + right.columns) in table.keys:
                further = {
                    key.target: key.columns[0]
                    for key in table.foreign_keys
                    if len(key.columns) == 1
                    and key.columns[0] not in SYSTEM_COLUMNS
                    and key not in (left, right)
                }
                return Association(
                    table.full_name, left.columns[0], right.columns[0], second, further
                )
        return None

    def ml_table(self, name: str) -> Table | None:
        """Return a table of the deriva-ml schema, or None."""
        return self.tables.get(TableName(ML_SCHEMA, name))


def read_model(document: Mapping[str, Any]) -> CatalogModel:
    """Return the model that a `/schema` document describes."""
    tables = {table.full_name: table for table in _tables(document)}
    said = {name: value for name, value in document.items() if name != "snaptime"}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return CatalogModel(tables, document.get("annotations", {}), digest)


def _tables(document: Mapping[str, Any]) -> Iterator[Table]:
    for schema_name, schema in document["schemas"].items():
        for name, table in schema["tables"].items():
            yield Table(
                schema=Schema(schema_name),
                name=name,
                columns=tuple(_column(column) for column in table["column_definitions"]),
                keys=tuple(frozenset(key["unique_columns"]) for key in table["keys"]),
                foreign_keys=tuple(_foreign_key(key) for key in table["foreign_keys"]),
            )


def _column(document: Mapping[str, Any]) -> Column:
    return Column(
        name=document["name"],
        type=document["type"]["typename"],
        nullable=document["nullok"],
        has_default=document.get("default") is not None,
        default=document.get("default"),
    )


def _foreign_key(document: Mapping[str, Any]) -> ForeignKey:
    referenced = document["referenced_columns"]
    target = TableName(referenced[0]["schema_name"], referenced[0]["table_name"])
    return ForeignKey(
        columns=tuple(column["column_name"] for column in document["foreign_key_columns"]),
        target=target,
        target_columns=tuple(column["column_name"] for column in referenced),
    )
