"""The documents that describe service, catalog and model, for one client."""

from collections.abc import Sequence
from typing import Any, Final

from deriva_watch.sandbox.ermrest.catalog import Catalog
from deriva_watch.sandbox.ermrest.model import SYSTEM_COLUMNS, Table
from deriva_watch.sandbox.ermrest.refusals import refused
from deriva_watch.sandbox.identity import Client

Document = dict[str, Any]

VERSION: Final = "1.0"
FEATURES: Final = dict.fromkeys(
    ("quantified_value_lists", "quantified_rid_lists", "rid_lease", "csv_array_json"), True
)
ONLY_FOR_OWNERS: Final = {"acls", "acl_bindings"}
NO_RIGHTS: Final = {"owner": False, "create": False}


def service() -> Document:
    """Describe the service."""
    return {"version": VERSION, "features": FEATURES}


def catalog(source: Catalog, client: Client | None) -> Document:
    """Describe the catalog."""
    document = schema(source, client)
    del document["schemas"]
    return {"id": source.id, "features": FEATURES, **document}


def schema(source: Catalog, client: Client | None) -> Document:
    """Return the ``/schema`` document: whole for the owner, with its own rights for others."""
    document = {**source.document, "snaptime": source.snaptime()}
    if source.model.is_owner(client):
        return document
    schemas = {
        name: _seen(
            part,
            rights=NO_RIGHTS,
            tables={
                table: _table(source, client, source.model.tables[name, table], definition)
                for table, definition in part["tables"].items()
            },
        )
        for name, part in source.document["schemas"].items()
    }
    return _seen(document, rights=NO_RIGHTS, schemas=schemas)


def _seen(part: Document, **changes: Any) -> Document:
    """Return *part* as a client without ownership sees it."""
    return {key: part[key] for key in part if key not in ONLY_FOR_OWNERS} | changes


def _table(source: Catalog, client: Client | None, table: Table, definition: Document) -> Document:
    select, insert, update, delete = (
        source.model.may(client, access, table)
        for access in ("select", "insert", "update", "delete")
    )
    rights = {"select": select, "insert": insert, "update": update, "delete": delete}
    return _seen(
        definition,
        rights={**rights, "owner": False},
        column_definitions=[
            _seen(each, rights={**rights, "update": update and each["name"] not in SYSTEM_COLUMNS})
            for each in definition["column_definitions"]
        ],
        foreign_keys=[
            _seen(each, rights={"insert": insert, "update": update})
            for each in definition.get("foreign_keys", [])
        ],
    )


def part_of_schema(document: Document, address: Sequence[str]) -> Any:
    """Return the part of a ``/schema`` document at *address*: ``["demo", "table", "Image"]``.

    Raises:
        RefusedError: 404, there is no such part.
    """
    part: Any = document["schemas"]
    for at, step in enumerate(address):
        if at % 2 == 0:
            part = part.get(step)
        elif step == "column":
            part = {column["name"]: column for column in part["column_definitions"]}
        else:
            part = part.get({"table": "tables", "acl": "acls"}.get(step))
        if part is None:
            raise refused(404, f"schema/{'/'.join(address)}")
    return part
