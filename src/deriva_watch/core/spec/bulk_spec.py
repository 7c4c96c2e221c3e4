"""The bulk spec that is made from a catalog's model.

Keys and templates are those of deriva-py's uploader, so that it can use ours and we its.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import quote

_EXECUTION: Final = r"(?s)^.*/deriva-ml/execution/(?P<execution_rid>[-\w]+)"
# Any name a Linux file can have: several dots, none, spaces, a leading dot.
_FILE: Final = r"(?P<file>[^/]+?)(?:[.](?P<ext>[^./]*))?\Z"
_TABLE_FILE: Final = (
    r"(?s)^.*/deriva-ml/(?:execution/(?P<execution_rid>[-\w]+)/)?"
    r"table/(?P<schema>[^/]+)/(?P<table>[^/]+)/(?P=table)[.](?:csv|json)\Z"
)
# Names that templates use for the file and its content; no column may have one of them.
_TAKEN: Final = frozenset(
    {
        *("execution_rid", "file", "ext", "file_name", "file_size", "file_ext", "base_name"),
        *("base_path", "target_table", "URI", "md5", "md5_base64", "sha256", "sha256_base64"),
    }
)


class SchemaLike(Protocol):
    """A schema of any model."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


class TableLike(Protocol):
    """A table of any model: ours, the bindings' or deriva-ml's."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def schema(self) -> SchemaLike:
        """Its schema."""
        ...


class ModelLike(Protocol):
    """What a bulk spec is generated from."""

    def find_assets(self) -> Iterable[Any]:
        """Return the asset tables."""
        ...

    def name_to_table(self, table: Any, /) -> Any:
        """Return the table of that name."""
        ...

    def asset_metadata(self, table: Any, /) -> set[str]:
        """Return the metadata columns of an asset table."""
        ...


def asset_table_upload_spec(
    model: ModelLike, asset_table: str | TableLike, chunk_size: int | None = None
) -> dict[str, Any]:
    """Return the mapping that uploads the files of one asset table.

    A path carries one directory for every metadata column, in sorted order, then, optionally, one
    for the RID that the row shall have, then the file.

    Args:
        model: The catalog's model.
        asset_table: The asset table, or its name.
        chunk_size: Length of the chunks of large files, in bytes; None: the uploader's own.
    """
    table = model.name_to_table(asset_table)
    schema, columns = table.schema.name, sorted(model.asset_metadata(table))
    groups = {column: _group(column, number) for number, column in enumerate(columns)}
    segments = "".join(f"(?P<{group}>[^/]+)/" for group in groups.values())
    pattern = (
        f"{_EXECUTION}/asset/{re.escape(schema)}/{re.escape(table.name)}/"
        f"{segments}(?:(?P<RID>[-A-Z0-9]+)/)?{_FILE}"
    )
    spec = asset_mapping(table, pattern, {"RID": "RID"} | groups, chunk_size)
    spec["use_pre_allocated_rid"] = True
    if columns:  # without metadata columns no sentinel can occur
        spec["pre_processors"] = [
            {
                "processor": "NullSentinelProcessor",
                "processor_type": "deriva_watch.NullSentinelProcessor",
            }
        ]
    return spec


def asset_mapping(
    table: TableLike, pattern: str, groups: Mapping[str, str], chunk_size: int | None = None
) -> dict[str, Any]:
    """Return the mapping that uploads files to an asset table, found by their content.

    Args:
        table: The asset table.
        pattern: The paths that it matches.
        groups: The group of *pattern* that fills a column, by column.
        chunk_size: Length of the chunks of large files, in bytes; None: the uploader's own.
    """
    options: dict[str, Any] = {"versioned_urls": True}
    if chunk_size is not None:
        options["chunk_size"] = chunk_size
    return {
        "column_map": {
            "MD5": "{md5}",
            "URL": "{URI}",
            "Length": "{file_size}",
            "Filename": "{file_name}",
        }
        | {column: f"{{{group}}}" for column, group in groups.items()},
        "file_pattern": pattern,
        "asset_type": "file",
        "target_table": [table.schema.name, table.name],
        "checksum_types": ["sha256", "md5"],
        "hatrac_options": options,
        "hatrac_templates": {
            "hatrac_uri": f"/hatrac/{quote(table.name, safe='')}/{{md5}}.{{file_name}}",
            "content-disposition": "filename*=UTF-8''{file_name}",
        },
        "record_query_template": "/entity/{target_table}/MD5={md5}&Filename={file_name}",
    }


def _group(column: str, number: int) -> str:
    """Return the pattern group of a column: its name if that is a valid name of a group."""
    plain = column.isascii() and column.isidentifier() and not column.startswith("column_")
    return column if plain and column not in _TAKEN else f"column_{number}"


def bulk_upload_configuration(model: ModelLike, chunk_size: int | None = None) -> dict[str, Any]:
    """Return the bulk spec of a catalog: every asset table, then rows of tables.

    Args:
        model: The catalog's model.
        chunk_size: Length of the chunks of large files, in bytes; None: the uploader's own.
    """
    mappings = [asset_table_upload_spec(model, table, chunk_size) for table in model.find_assets()]
    rows = {
        "asset_type": "table",
        "default_columns": ["RID", "RCB", "RMB", "RCT", "RMT"],
        "file_pattern": _TABLE_FILE,
        "ext_pattern": "^.*[.](?P<file_ext>json|csv)$",
        "target_table": ["{schema}", "{table}"],
    }
    return {
        "asset_mappings": [*mappings, rows],
        "version_update_url": "https://github.com/informatics-isi-edu/deriva-client",
        "version_compatibility": [[">=1.4.0", "<2.0.0"]],
    }
