"""The catalog that both uploaders meet: a small lab, written to files for a sandbox.

`Scan` and `Blob` are asset tables with deriva-ml's columns; `document` has a file's facts under
names of its own, and a key beside its URL; `Reading` holds rows without files.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

_SYSTEM: Final = {
    "RID": "ermrest_rid",
    "RCT": "ermrest_rct",
    "RMT": "ermrest_rmt",
    "RCB": "ermrest_rcb",
    "RMB": "ermrest_rmb",
}
_DOMAINS: Final = {"ermrest_rct": "timestamptz", "ermrest_rmt": "timestamptz"}
_DEFAULTS: Final = {
    "RID": "_ermrest.urlb32_encode(nextval('_ermrest.rid_seq'::regclass))",
    **dict.fromkeys(("RCT", "RMT"), "now()"),
    **dict.fromkeys(("RCB", "RMB"), "_ermrest.current_client()"),
}
_ASSET: Final = {
    "URL": "text!",
    "Filename": "text",
    "Description": "markdown",
    "Length": "int8!",
    "MD5": "text!",
}
SUBJECTS: Final = ("S1", "S2", "S3")
ROWS: Final = [
    {
        "table": "lab:Species",
        "rows": [
            {"Name": name, "Description": f"A {name}.", "Synonyms": []} for name in ("mouse", "fly")
        ],
    },
    {
        "table": "lab:Subject",
        "rows": [
            {"RID": "1-AAA1", "Code": "S1", "Species": "mouse", "Age": 12, "Weight": 21.5},
            {"RID": "1-AAA2", "Code": "S2", "Species": "fly", "Age": 1, "Weight": None},
            {"RID": "1-AAA3", "Code": "S3", "Species": None, "Age": None, "Weight": None},
        ],
    },
]


def tables() -> dict[str, dict[str, Any]]:
    """Return the tables of every schema, as a `/schema` document has them."""
    public = {
        "ERMrest_Client": _table(
            "public",
            "ERMrest_Client",
            {
                "ID": "text!",
                "Display_Name": "text",
                "Full_Name": "text",
                "Email": "text",
                "Client_Object": "jsonb!",
            },
            [["ID"]],
        ),
        "ERMrest_RID_Lease": _table("public", "ERMrest_RID_Lease", {"ID": "text"}, [["RCB", "ID"]]),
    }
    lab = {
        "Species": _table(
            "lab",
            "Species",
            {
                "ID": "ermrest_curie!",
                "URI": "ermrest_uri!",
                "Name": "text!",
                "Description": "markdown!",
                "Synonyms": "text[]",
            },
            [["ID"], ["URI"], ["Name"]],
            defaults={"ID": "lab:{RID}", "URI": "/id/{RID}"},
        ),
        "Subject": _table(
            "lab",
            "Subject",
            {"Code": "text!", "Species": "text", "Age": "int4", "Weight": "float8"},
            [["Code"]],
            {"Species": ("Species", "Name")},
        ),
        "Scan": _table(
            "lab",
            "Scan",
            _ASSET
            | {
                "Subject": "text",
                "Taken": "date",
                "Exposure": "float8",
                "Channel": "int4",
                "Note": "text",
            },
            [["URL"]],
            {"Subject": ("Subject", "Code")},
        ),
        "Blob": _table("lab", "Blob", _ASSET, [["URL"]]),
        "document": _table(
            "lab",
            "document",
            {
                "url": "text!",
                "name": "text!",
                "md5": "text",
                "sha256": "text",
                "bytes": "int8",
                "type": "text",
                "subject": "text",
                "note": "text",
                "kept": "boolean",
            },
            [["url"], ["name"]],
            {"subject": ("Subject", "Code")},
            url="url",
        ),
        "Reading": _table(
            "lab",
            "Reading",
            {"Name": "text!", "Value": "float8", "Subject": "text", "Unit": "text"},
            [["Name"]],
            {"Subject": ("Subject", "Code")},
            defaults={"Unit": "mm"},
        ),
    }
    return {"public": public, "lab": lab}


def _table(  # noqa: PLR0913  # the parts of a table
    schema: str,
    name: str,
    columns: Mapping[str, str],
    keys: Iterable[list[str]] = (),
    links: Mapping[str, tuple[str, str]] = {},
    *,
    defaults: Mapping[str, str] = {},
    url: str = "URL",
) -> dict[str, Any]:
    """Return a table; "!" ends the type of a column that may not be NULL."""
    defaults = _DEFAULTS | defaults
    return {
        "schema_name": schema,
        "table_name": name,
        "kind": "table",
        "annotations": {},
        "column_definitions": [
            _column(each, kind, defaults.get(each), url)
            for each, kind in {**_SYSTEM, **columns}.items()
        ],
        "keys": [{"unique_columns": key, "names": []} for key in (["RID"], *keys)],
        "foreign_keys": [
            {
                "foreign_key_columns": [
                    {"schema_name": schema, "table_name": name, "column_name": column}
                ],
                "referenced_columns": [
                    {"schema_name": schema, "table_name": table, "column_name": key}
                ],
                "names": [[schema, f"{name}_{column}_fkey"]],
                "on_delete": "NO ACTION",
                "on_update": "NO ACTION",
            }
            for column, (table, key) in links.items()
        ],
    }


def _column(name: str, kind: str, default: str | None, url: str) -> dict[str, Any]:
    plain = kind.rstrip("!")
    typename: dict[str, Any] = {"typename": plain}
    if plain.startswith("ermrest_") or plain == "markdown":
        base = _DOMAINS.get(plain, "text")
        typename |= {"is_domain": True, "base_type": {"typename": base}}
    elif plain.endswith("[]"):
        typename |= {"is_array": True, "base_type": {"typename": plain.removesuffix("[]")}}
    annotations = {"tag:isrd.isi.edu,2017:asset": {}} if name == url else {}
    return {
        "name": name,
        "type": typename,
        "nullok": not kind.endswith("!") and name not in {"RID", "RCT", "RMT"},
        "default": default,
        "annotations": annotations,
    }


def write_lab(folder: Path) -> dict[str, Path]:
    """Write what a sandbox is founded with; return the options that name it."""
    schemas = {
        name: {"schema_name": name, "annotations": {}, "tables": tables}
        for name, tables in tables().items()
    }
    schema, rows = folder / "schema.json", folder / "rows.json"
    schema.write_text(json.dumps({"annotations": {}, "schemas": schemas}))
    rows.write_text(json.dumps(ROWS))
    return {"schema": schema, "rows": rows}
