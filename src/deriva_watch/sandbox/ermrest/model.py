"""A ``/schema`` document as values: tables, columns, keys, references, rights."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deriva_watch.sandbox.ermrest.refusals import conflict, denied
from deriva_watch.sandbox.identity import OWNER, WRITER, Client

SYSTEM_COLUMNS: Final = ("RID", "RCT", "RMT", "RCB", "RMB")
LEASES: Final = ("public", "ERMrest_RID_Lease")
DEFAULT_ACLS: Final[dict[str, list[str]]] = {
    "owner": [OWNER],
    **{access: [WRITER] for access in ("enumerate", "select", "insert")},
    **{access: [] for access in ("create", "update", "delete", "write")},
}


def quoted(name: str) -> str:
    """Return *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        type: The name of its basic type: domains and arrays are resolved.

        is_array: Whether it holds a list of that type.
    """

    name: str
    type: str
    is_array: bool
    nullok: bool
    default: Any

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Column":
        """Read one entry of ``column_definitions``."""
        kind = document["type"]
        basic = kind.get("base_type", kind)
        return cls(
            name=document["name"],
            type=basic["typename"],
            is_array=kind.get("is_array", False),
            nullok=document.get("nullok", True),
            default=document.get("default"),
        )


@dataclass(frozen=True, slots=True)
class Key:
    """A set of columns whose values are unique, unless one of them is null."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: *columns* hold values of *key_columns* of the table *target*."""

    name: str
    columns: tuple[str, ...]
    target: tuple[str, str]
    key_columns: tuple[str, ...]
    on_delete: str
    on_update: str


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table and who may use it; its ACLs come first, then those above it."""

    schema: str
    name: str
    columns: dict[str, Column]
    keys: tuple[Key, ...]
    references: tuple[Reference, ...]
    acls: tuple[Mapping[str, Iterable[str]], ...]

    def __str__(self) -> str:
        return f":{self.schema}:{self.name}"

    @property
    def identity(self) -> tuple[str, str]:
        """Schema and name."""
        return self.schema, self.name

    @property
    def sql(self) -> str:
        """The table's name in SQL."""
        return quoted(f"{self.schema}:{self.name}")

    def column(self, name: str) -> Column:
        """Return the column *name*.

        Raises:
            RefusedError: 409, there is none.
        """
        if name not in self.columns:
            raise conflict(f"Column {name} does not exist in table {self}.")
        return self.columns[name]


class Model:
    """The model of one catalog.

    Args:
        document: Its ``/schema`` document, placeholders filled in.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        if OWNER not in document.get("acls", {}).get("owner", ()):
            document["acls"] = dict(DEFAULT_ACLS)
        self.acls: dict[str, Iterable[str]] = document["acls"]
        self.tables: dict[tuple[str, str], Table] = {
            table.identity: table
            for schema in document["schemas"].values()
            for table in _tables(schema, self.acls)
        }

    def find(self, name: str, schema: str | None = None) -> Table:
        """Return a table by its name; the schema may be left out if the name is unique.

        Raises:
            RefusedError: 409, there is none, or more than one.
        """
        found = [
            table
            for table in self.tables.values()
            if table.name == name and schema in (None, table.schema)
        ]
        if len(found) != 1:
            where = f"schema {schema}" if schema else f"exactly one schema ({len(found)} found)"
            raise conflict(f"Table {name} does not exist in {where}.")
        return found[0]

    def is_owner(self, client: Client | None) -> bool:
        """Return whether *client* owns the catalog, and so may do everything."""
        return client is not None and client.id in self.acls["owner"]

    def may(self, client: Client | None, access: str, table: Table | None = None) -> bool:
        """Return whether *client* has the right *access* to *table*, or to the catalog."""
        if self.is_owner(client):
            return True
        for acls in table.acls if table else (self.acls,):
            if access in acls:
                return _listed(client, acls[access])
        return False

    def enforce(self, client: Client | None, access: str, table: Table) -> None:
        """Check that *client* has the right *access* to *table*.

        Raises:
            RefusedError: 403, or 401 without a session.
        """
        if not self.may(client, access, table):
            raise denied(client, f"{access} access on {table}")


def _listed(client: Client | None, members: Iterable[str]) -> bool:
    return "*" in members or (client is not None and client.id in members)


def _tables(
    schema: Mapping[str, Any], catalog_acls: Mapping[str, Iterable[str]]
) -> Iterator[Table]:
    for document in schema["tables"].values():
        columns = [Column.read(column) for column in document["column_definitions"]]
        yield Table(
            schema=schema["schema_name"],
            name=document["table_name"],
            columns={column.name: column for column in columns},
            keys=tuple(
                Key(_name(key), tuple(key["unique_columns"])) for key in document.get("keys", ())
            ),
            references=tuple(map(_reference, document.get("foreign_keys", ()))),
            acls=(document.get("acls", {}), schema.get("acls", {}), catalog_acls),
        )


def _reference(document: Mapping[str, Any]) -> Reference:
    target = document["referenced_columns"][0]
    return Reference(
        name=_name(document),
        columns=tuple(part["column_name"] for part in document["foreign_key_columns"]),
        target=(target["schema_name"], target["table_name"]),
        key_columns=tuple(part["column_name"] for part in document["referenced_columns"]),
        on_delete=document.get("on_delete", "NO ACTION"),
        on_update=document.get("on_update", "NO ACTION"),
    )


def _name(constraint: Mapping[str, Any]) -> str:
    names = constraint.get("names") or [["", "unnamed"]]
    return str(names[0][1])
