"""Bulk specs in short: two mappings of the lab's tables, to be changed by what a test is about."""

from typing import Any, Final

from deriva_watch.core.model import read_model
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration
from oracle.lab import tables

Mapping = dict[str, Any]

_DISPOSITION: Final = "filename*=UTF-8''{file_name}"
SAME_CONTENT: Final = "/entity/{target_table}/MD5={md5}&Filename={file_name_urlencoded}"


def scan(columns: dict[str, str] | None = None, **changes: Any) -> Mapping:
    """Return a mapping of `scans/<subject>/<file>` to deriva-ml's kind of table; None removes."""
    return _changed(
        {
            "file_pattern": r"/scans/(?P<subject>[^/]+)/(?P<file>[^/]+)$",
            "target_table": ["lab", "Scan"],
            "column_map": {
                "URL": "{URI}",
                "Filename": "{file_name}",
                "Length": "{file_size}",
                "MD5": "{md5}",
                "Subject": "{subject}",
            },
            "hatrac_templates": {
                "hatrac_uri": "/hatrac/Scan/{md5}.{file_name_urlencoded}",
                "content-disposition": _DISPOSITION,
            },
            "record_query_template": SAME_CONTENT,
        },
        columns,
        changes,
    )


def document(columns: dict[str, str] | None = None, **changes: Any) -> Mapping:
    """Return a mapping of `docs/<subject>/<file>` to a table that has a file's facts otherwise."""
    return _changed(
        {
            "file_pattern": r"/docs/(?P<subject>[^/]+)/(?P<file>[^/]+)$",
            "target_table": ["lab", "document"],
            "column_map": {
                "url": "{URI}",
                "name": "{file_name}",
                "bytes": "{file_size}",
                "md5": "{md5}",
                "sha256": "{sha256}",
                "subject": "{subject}",
            },
            "hatrac_templates": {"hatrac_uri": "/hatrac/docs/{subject}/{file_name_urlencoded}"},
            "record_query_template": "/entity/{target_table}/name={file_name_urlencoded}",
        },
        columns,
        changes,
    )


def table(**changes: Any) -> Mapping:
    """Return a mapping of `records/<schema>/<table>.csv|json` to rows, as deriva-py's default."""
    return _changed(
        {
            "asset_type": "table",
            "default_columns": ["RID", "RCB", "RMB", "RCT", "RMT"],
            "file_pattern": "^((?!/assets/).)*/records/(?P<schema>.+?)/(?P<table>.+?)[.]",
            "ext_pattern": "^.*[.](?P<file_ext>json|csv)$",
            "column_map": {},
        },
        None,
        changes,
    )


def generated() -> dict[str, Any]:
    """Return the spec that our own library makes for the lab."""
    schemas = {"schemas": {name: {"tables": each} for name, each in tables().items()}}
    return bulk_upload_configuration(read_model(schemas))


def _changed(mapping: Mapping, columns: dict[str, str] | None, changes: dict[str, Any]) -> Mapping:
    mapping["column_map"] = mapping["column_map"] | (columns or {})
    merged = mapping | changes
    return {key: value for key, value in merged.items() if value is not None}


def spec(*mappings: Mapping, **general: Any) -> dict[str, Any]:
    """Return the document of a spec."""
    return {"asset_mappings": list(mappings), **general}
