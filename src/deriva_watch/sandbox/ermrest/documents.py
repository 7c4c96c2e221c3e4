"""The documents that describe service, catalog and model, as one client sees them."""

from typing import Any, Final
from urllib.parse import unquote_plus

from deriva_watch.sandbox.ermrest.catalog import Catalog
from deriva_watch.sandbox.ermrest.model import SYSTEM_COLUMNS, Table
from deriva_watch.sandbox.ermrest.refusals import refused
from deriva_watch.sandbox.identity import Client

Document = dict[str, Any]

VERSION: Final = "1.0"
FEATURES: Final = dict.fromkeys(
    ("quantified_value_lists", "quantified_rid_lists", "rid_lease", "csv_array_json"), True
)
ONLY_FOR_OWNERS: Final = ("acls", "acl_bindings")


def service() -> Document:
    """Describe the service."""
    return {"version": VERSION, "features": FEATURES}


def catalog(source: Catalog, client: Client | None) -> Document:
    """Describe the catalog."""
    document = {
        "id": source.id,
        "snaptime": source.snaptime(),
        "annotations": source.document.get("annotations", {}),
        "rights": {right: source.model.is_owner(client) for right in ("owner", "create")},
        "features": source.document.get("features", FEATURES),
    }
    if source.model.is_owner(client):
        document["acls"] = source.document["acls"]
    return document


def schema(source: Catalog, client: Client | None) -> Document:
    """Return the ``/schema`` document: whole for the owner, with its own rights for others."""
    document = {**source.document, "snaptime": source.snaptime()}
    if source.model.is_owner(client):
        return document
    document = {key: value for key, value in document.items() if key not in ONLY_FOR_OWNERS}
    document["rights"] = {"owner": False, "create": False}
    document["schemas"] = {
        name: {
            **{key: value for key, value in part.items() if key not in ONLY_FOR_OWNERS},
            "rights": {"owner": False, "create": False},
            "tables": {
                table: _table(source, client, source.model.tables[name, table], definition)
                for table, definition in part["tables"].items()
            },
        }
        for name, part in source.document["schemas"].items()
    }
    return document


def _table(source: Catalog, client: Client | None, table: Table, definition: Document) -> Document:
    rights = {
        access: source.model.may(client, access, table)
        for access in ("select", "insert", "update", "delete")
    }
    seen = {key: value for key, value in definition.items() if key not in ONLY_FOR_OWNERS}
    seen["rights"] = {**rights, "owner": False}
    seen["column_definitions"] = [
        {
            **{key: value for key, value in column.items() if key not in ONLY_FOR_OWNERS},
            "rights": {
                **rights,
                "update": rights["update"] and column["name"] not in SYSTEM_COLUMNS,
            },
        }
        for column in definition["column_definitions"]
    ]
    seen["foreign_keys"] = [
        {
            **{key: value for key, value in reference.items() if key not in ONLY_FOR_OWNERS},
            "rights": {access: rights[access] for access in ("insert", "update")},
        }
        for reference in definition.get("foreign_keys", [])
    ]
    return seen


def part_of_schema(document: Document, address: str) -> Any:
    """Return the part of a ``/schema`` document at *address*, such as ``demo/table/Image/column``.

    Raises:
        RefusedError: 404, there is no such part.
    """
    part: Any = document["schemas"]
    steps = [unquote_plus(step) for step in address.split("/")]
    try:
        for at, step in enumerate(steps):
            if at % 2 == 0:
                part = part[step]
            elif step == "table":
                part = part["tables"]
            elif step == "column":
                part = {column["name"]: column for column in part["column_definitions"]}
            elif step == "acl":
                part = part["acls"]
            else:
                raise KeyError(step)
    except KeyError:
        raise refused(404, f"schema/{address}") from None
    return list(part.values()) if steps[-1] == "column" and len(steps) % 2 == 0 else part
