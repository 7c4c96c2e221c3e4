"""Changes of the model: schemas, tables, columns, keys, foreign keys, annotations.

A change edits a copy of the ``/schema`` document; `remodel` then applies it to the tables.
"""

import copy
from collections.abc import Callable
from typing import Any, Final

from deriva_watch.sandbox.ermrest import values
from deriva_watch.sandbox.ermrest.catalog import Caller, Catalog
from deriva_watch.sandbox.ermrest.model import SYSTEM_COLUMNS
from deriva_watch.sandbox.ermrest.refusals import conflict, denied, malformed, refused
from deriva_watch.sandbox.ermrest.remodel import apply

Document = dict[str, Any]

DOMAINS: Final = {
    **dict.fromkeys(("ermrest_rid", "ermrest_rcb", "ermrest_rmb"), "text"),
    **dict.fromkeys(("ermrest_rct", "ermrest_rmt"), "timestamptz"),
    **dict.fromkeys(("markdown", "longtext", "ermrest_curie", "ermrest_uri"), "text"),
}
DEFAULTS: Final = {"RCT": "now()", "RMT": "now()"}
ALL_RIGHTS: Final = {"select": True, "insert": True, "update": True, "delete": True}


def create_schema(catalog: Catalog, caller: Caller, name: str) -> Document:
    """Make an empty schema."""
    document = _draft(catalog, caller)
    if name in document["schemas"]:
        raise conflict(f"Schema {name} already exists.")
    made: Document = {"schema_name": name, "tables": {}, "annotations": {}, "acls": {}}
    document["schemas"][name] = made
    apply(catalog, caller, document)
    return made


def drop_schema(catalog: Catalog, caller: Caller, name: str) -> None:
    """Drop a schema that has no tables."""
    document = _draft(catalog, caller)
    if name not in document["schemas"]:
        raise refused(404, f"schema {name}")
    if document["schemas"][name]["tables"]:
        raise conflict(f"cannot drop schema {name} because other objects depend on it")
    del document["schemas"][name]
    apply(catalog, caller, document)


def create_table(catalog: Catalog, caller: Caller, schema: str, definition: Document) -> Document:
    """Make a table.

    Raises:
        RefusedError: 400, a system column is missing; 409, the name is taken, there is no such
            schema, or a foreign key refers to a missing table.
    """
    document = _draft(catalog, caller)
    tables = _schema(document, schema)["tables"]
    name = _text(definition, "table_name")
    if name in tables:
        raise conflict(f"Table {name} already exists in schema {schema}.")
    columns = [_column(each) for each in definition.get("column_definitions", [])]
    lacking = set(SYSTEM_COLUMNS) - {column["name"] for column in columns}
    if lacking:
        raise malformed(f"Table {name} lacks the system columns {sorted(lacking)}.")
    tables[name] = {
        **definition,
        "schema_name": schema,
        "rights": {**ALL_RIGHTS, "owner": True},
        "kind": "table",
        "annotations": definition.get("annotations", {}),
        "acls": definition.get("acls", {}),
        "column_definitions": columns,
        "keys": [_key(schema, name, each) for each in definition.get("keys", [])],
        "foreign_keys": [_foreign_key(schema, name, e) for e in definition.get("foreign_keys", [])],
    }
    apply(catalog, caller, document)
    return dict(tables[name])


def alter_table(
    catalog: Catalog, caller: Caller, schema: str, name: str, change: Document
) -> Document:
    """Move a table to another schema, or change its comment.

    Measured: this version of the server refuses to rename it.
    """
    document = _draft(catalog, caller)
    table = _table(document, schema, name)
    if change.get("table_name", name) != name:
        raise conflict(f'relation "{schema}.{change["table_name"]}" does not exist')
    target = change.get("schema_name", schema)
    if target != schema:
        tables = _schema(document, target)["tables"]
        if name in tables:
            raise conflict(f"Table {name} already exists in schema {target}.")
        tables[name] = document["schemas"][schema]["tables"].pop(name)
        table["schema_name"] = target
        _repoint(document, (schema, name), target)
    _set(table, change, ("comment", "annotations", "acls"))
    apply(catalog, caller, document, {(target, name): (schema, name)})
    return table


def drop_table(catalog: Catalog, caller: Caller, schema: str, name: str) -> None:
    """Drop a table to which no other one refers."""
    document = _draft(catalog, caller)
    if name not in document["schemas"].get(schema, {"tables": {}})["tables"]:
        raise refused(404, f"table {schema}:{name}")
    referring = [
        str(table)
        for table in catalog.model.tables.values()
        for reference in table.references
        if reference.target == (schema, name) and table.identity != (schema, name)
    ]
    if referring:
        raise conflict(f"cannot drop table {name}: {', '.join(referring)} refer to it")
    del document["schemas"][schema]["tables"][name]
    apply(catalog, caller, document)


def create_column(
    catalog: Catalog, caller: Caller, schema: str, table: str, definition: Document
) -> Document:
    """Add a column; existing rows get its default."""
    document = _draft(catalog, caller)
    columns = _table(document, schema, table)["column_definitions"]
    made = _column(definition)
    if any(each["name"] == made["name"] for each in columns):
        raise conflict(f"Column {made['name']} already exists in table {table}.")
    columns.append(made)
    apply(catalog, caller, document)
    return made


def alter_column(  # noqa: PLR0913, PLR0917 - an address of three parts
    catalog: Catalog, caller: Caller, schema: str, table: str, name: str, change: Document
) -> Document:
    """Rename a column, or change whether it takes null, its default or its comment."""
    document = _draft(catalog, caller)
    definition = _table(document, schema, table)
    found = [each for each in definition["column_definitions"] if each["name"] == name]
    if not found:
        raise malformed(f"Column {name} does not exist in table {table}.")
    column: Document = found[0]
    if "type" in change and _type(change["type"]) != column["type"]:
        raise refused(501, "types of columns stay")
    new = change.get("name", name)
    if new != name:
        if any(each["name"] == new for each in definition["column_definitions"]):
            raise conflict(f"Column {new} already exists in table {table}.")
        column["name"] = new
        _rename(document, (schema, table), name, new)
    _set(column, change, ("nullok", "default", "comment", "annotations", "acls"))
    apply(catalog, caller, document, columns={(schema, table, new): name})
    return column


def drop_column(catalog: Catalog, caller: Caller, schema: str, table: str, name: str) -> None:
    """Drop a column, with the keys and references that have it."""
    document = _draft(catalog, caller)
    definition = _table(document, schema, table)
    if name in SYSTEM_COLUMNS:
        raise refused(501, "the real server breaks for good without its system columns")
    left = [each for each in definition["column_definitions"] if each["name"] != name]
    if len(left) == len(definition["column_definitions"]):
        raise refused(404, f"column {name}")
    definition["column_definitions"] = left
    definition["keys"] = [k for k in definition["keys"] if name not in k["unique_columns"]]
    definition["foreign_keys"] = [
        each
        for each in definition["foreign_keys"]
        if all(part["column_name"] != name for part in each["foreign_key_columns"])
    ]
    apply(catalog, caller, document)


def create_key(
    catalog: Catalog, caller: Caller, schema: str, table: str, definition: Document
) -> Document:
    """Add a key, if the rows satisfy it."""
    document = _draft(catalog, caller)
    made = _key(schema, table, definition)
    keys = _table(document, schema, table)["keys"]
    if any(set(key["unique_columns"]) == set(made["unique_columns"]) for key in keys):
        raise conflict(f"Key {made['unique_columns']} already exists in table {table}.")
    keys.append(made)
    apply(catalog, caller, document)
    return made


def drop_key(catalog: Catalog, caller: Caller, schema: str, table: str, names: list[str]) -> None:
    """Drop a key."""
    document = _draft(catalog, caller)
    definition = _table(document, schema, table)
    left = [key for key in definition["keys"] if set(key["unique_columns"]) != set(names)]
    if len(left) == len(definition["keys"]):
        raise refused(404, f"key {','.join(names)}")
    definition["keys"] = left
    apply(catalog, caller, document)


def create_foreign_key(
    catalog: Catalog, caller: Caller, schema: str, table: str, definition: Document
) -> Document:
    """Add a foreign key, if the rows satisfy it."""
    document = _draft(catalog, caller)
    made = _foreign_key(schema, table, definition)
    _table(document, schema, table)["foreign_keys"].append(made)
    apply(catalog, caller, document)
    return made


def drop_foreign_key(  # noqa: PLR0913, PLR0917 - an address of five parts
    catalog: Catalog,
    caller: Caller,
    schema: str,
    table: str,
    names: list[str],
    target: tuple[str, str],
    key: list[str],
) -> None:
    """Drop a foreign key."""
    document = _draft(catalog, caller)
    definition = _table(document, schema, table)
    left = [each for each in definition["foreign_keys"] if _ends(each) != (names, target, key)]
    if len(left) == len(definition["foreign_keys"]):
        raise conflict(f"Foreign key {','.join(names)} does not exist in table {table}.")
    definition["foreign_keys"] = left
    apply(catalog, caller, document)


def annotate(
    catalog: Catalog, caller: Caller, place: Callable[[Document], Document], tag: str, value: Any
) -> None:
    """Set an annotation of the part of the document that *place* returns; None removes it."""
    document = _draft(catalog, caller)
    annotations = place(document).setdefault("annotations", {})
    if value is None and tag not in annotations:
        raise refused(404, f"annotation {tag}")
    annotations[tag] = value
    if value is None:
        del annotations[tag]
    apply(catalog, caller, document)


# ---------------------------------------------------------------- documents


def _draft(catalog: Catalog, caller: Caller) -> Document:
    """Return a copy of the model's document; RefusedError unless the client is the owner."""
    if not catalog.model.is_owner(caller.client):
        raise denied(caller.client, f"owner access on catalog/{catalog.id}")
    return copy.deepcopy(catalog.document)


def _schema(document: Document, name: str) -> Document:
    schemas: dict[str, Document] = document["schemas"]
    if name not in schemas:
        raise conflict(f"Schema {name} does not exist.")
    return schemas[name]


def _table(document: Document, schema: str, name: str) -> Document:
    tables: dict[str, Document] = _schema(document, schema)["tables"]
    if name not in tables:
        raise conflict(f"Table {name} does not exist in schema {schema}.")
    return tables[name]


def _text(definition: Document, name: str) -> str:
    value = definition.get(name)
    if not isinstance(value, str) or not value:
        raise malformed(f"{name} is missing.")
    return value


def _set(part: Document, change: Document, names: tuple[str, ...]) -> None:
    part.update({name: change[name] for name in names if name in change})


def _column(definition: Document) -> Document:
    name = _text(definition, "name")
    if not isinstance(definition.get("type"), dict):
        raise malformed(f"Column {name} has no type.")
    return {
        **definition,
        "type": _type(definition["type"]),
        "rights": ALL_RIGHTS,
        "nullok": definition.get("nullok", True),
        "default": definition.get("default", DEFAULTS.get(name)),
        "annotations": definition.get("annotations", {}),
        "acls": definition.get("acls", {}),
    }


def _type(document: Document) -> Document:
    name = str(document.get("typename"))
    if name.endswith("[]"):
        return {"typename": name, "is_array": True, "base_type": _type({"typename": name[:-2]})}
    if name in DOMAINS:
        return {"typename": name, "is_domain": True, "base_type": {"typename": DOMAINS[name]}}
    if name not in values.CASTS and name != "text":
        raise refused(501, f"type {name}")
    return {"typename": name}


def _key(schema: str, table: str, definition: Document) -> Document:
    columns = definition.get("unique_columns")
    if not columns:
        raise malformed("A key needs unique_columns.")
    name = f"{table}_{'_'.join(columns)}_key"
    return {
        "annotations": {},
        **definition,
        "names": definition.get("names") or [[schema, name]],
    }


def _foreign_key(schema: str, table: str, definition: Document) -> Document:
    if not definition.get("foreign_key_columns") or not definition.get("referenced_columns"):
        raise malformed("A foreign key needs foreign_key_columns and referenced_columns.")
    here = {"schema_name": schema, "table_name": table}
    columns = [here | part for part in definition["foreign_key_columns"]]
    name = f"{table}_{'_'.join(part['column_name'] for part in columns)}_fkey"
    return {
        "annotations": {},
        "on_delete": "NO ACTION",
        "on_update": "NO ACTION",
        **definition,
        "foreign_key_columns": columns,
        "names": definition.get("names") or [[schema, name]],
    }


def _ends(foreign_key: Document) -> tuple[list[str], tuple[str, str], list[str]]:
    first = foreign_key["referenced_columns"][0]
    return (
        [part["column_name"] for part in foreign_key["foreign_key_columns"]],
        (first["schema_name"], first["table_name"]),
        [part["column_name"] for part in foreign_key["referenced_columns"]],
    )


def _parts(document: Document) -> list[Document]:
    """Return the ends of all foreign keys."""
    return [
        part
        for schema in document["schemas"].values()
        for table in schema["tables"].values()
        for each in table.get("foreign_keys", [])
        for part in (*each["foreign_key_columns"], *each["referenced_columns"])
    ]


def _repoint(document: Document, table: tuple[str, str], schema: str) -> None:
    """Adapt foreign keys to a table that moved to another schema."""
    for part in _parts(document):
        if (part["schema_name"], part["table_name"]) == table:
            part["schema_name"] = schema


def _rename(document: Document, table: tuple[str, str], old: str, new: str) -> None:
    """Adapt keys and foreign keys to a renamed column."""
    for part in _parts(document):
        if (part["schema_name"], part["table_name"], part["column_name"]) == (*table, old):
            part["column_name"] = new
    for key in document["schemas"][table[0]]["tables"][table[1]]["keys"]:
        key["unique_columns"] = [new if each == old else each for each in key["unique_columns"]]
