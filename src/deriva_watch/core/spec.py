"""The bulk-upload specification: which file becomes an object and a row of which table.

`bulk_upload_configuration` makes one from a catalog's model; `Spec` reads one and applies it to
paths. Keys and templates are those of deriva-py's uploader, so that it can use ours and we its.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote, unquote

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import FILE_COLUMNS, TableName

DEFAULT_CHUNK_BYTES: Final = 25 * 1024 * 1024
_EXECUTION: Final = r"(?s)^.*/deriva-ml/execution/(?P<execution_rid>[-\w]+)"
# Any name a Linux file can have: several dots, none, spaces, a leading dot.
_FILE: Final = r"(?P<file>[^/]+?)(?:[.](?P<ext>[^./]*))?\Z"
_TABLE_FILE: Final = (
    r"(?s)^.*/deriva-ml/(?:execution/(?P<execution_rid>[-\w]+)/)?"
    r"table/(?P<schema>[^/]+)/(?P<table>[^/]+)/(?P=table)[.](?:csv|json)\Z"
)
# Hatrac's file system backend: a quoted name and ":" + version must fit into 255 bytes (measured).
_NAME_BYTES: Final = 255 - 27
_SINGLE: Final = re.compile(r"\{(\w+)\}")
# What templates call the file and its content; no column may take such a name away.
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
    options: dict[str, Any] = {"versioned_urls": True}
    if chunk_size is not None:
        options["chunk_size"] = chunk_size
    spec: dict[str, Any] = {
        "column_map": {
            "MD5": "{md5}",
            "URL": "{URI}",
            "Length": "{file_size}",
            "Filename": "{file_name}",
            "RID": "{RID}",
        }
        | {column: f"{{{group}}}" for column, group in groups.items()},
        "file_pattern": (
            f"{_EXECUTION}/asset/{re.escape(schema)}/{re.escape(table.name)}/"
            f"{segments}(?:(?P<RID>[-A-Z0-9]+)/)?{_FILE}"
        ),
        "asset_type": "file",
        "target_table": [schema, table.name],
        "checksum_types": ["sha256", "md5"],
        "hatrac_options": options,
        "hatrac_templates": {
            "hatrac_uri": f"/hatrac/{quote(table.name, safe='')}/{{md5}}.{{file_name}}",
            "content-disposition": "filename*=UTF-8''{file_name}",
        },
        "record_query_template": "/entity/{target_table}/MD5={md5}&Filename={file_name}",
        "use_pre_allocated_rid": True,
    }
    if columns:  # without metadata columns no sentinel can occur
        spec["pre_processors"] = [
            {
                "processor": "NullSentinelProcessor",
                "processor_type": "deriva_watch.NullSentinelProcessor",
            }
        ]
    return spec


def _group(column: str, number: int) -> str:
    """Return the pattern group of a column: its name where a group can be called so."""
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


@dataclass(frozen=True, slots=True)
class AssetMapping:
    """One entry of `asset_mappings`, ready to use."""

    number: int
    asset_type: str
    file_pattern: re.Pattern[str]
    target: tuple[str, str]
    column_map: Mapping[str, str]
    object_name: str | None
    disposition: str | None
    chunk_bytes: int | None

    @property
    def groups(self) -> dict[str, str]:
        """The metadata columns that are filled from one named group each: column → group."""
        singles = {c: _SINGLE.fullmatch(t) for c, t in self.column_map.items()}
        named, own = self.file_pattern.groupindex, FILE_COLUMNS | {"RID"}
        return {
            c: found[1]
            for c, found in singles.items()
            if found and found[1] in named and c not in own
        }


@dataclass(frozen=True, slots=True)
class Match:
    """A path that a mapping took, with the named groups that say something."""

    mapping: AssetMapping
    groups: Mapping[str, str]

    @property
    def table(self) -> TableName:
        """The table that the file goes to."""
        schema, table = self.mapping.target
        said = dict.fromkeys(self.mapping.file_pattern.groupindex, "") | dict(self.groups)
        return TableName(schema.format_map(said), table.format_map(said))


class Spec:
    """A bulk spec. The first mapping whose pattern is found in a path takes the file."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read *document*; RefusedError names the mapping that cannot be used."""
        self.document = document
        entries = document.get("asset_mappings") if isinstance(document, Mapping) else None
        if not isinstance(entries, list):
            raise _unusable("the bulk spec", 'it has no list "asset_mappings"')
        self.mappings = [_read_mapping(number, entry) for number, entry in enumerate(entries)]

    def match(self, path: str) -> Match | None:
        """Return what takes *path*, absolute with "/" between segments, or None."""
        for mapping in self.mappings:
            if found := mapping.file_pattern.search(path):
                groups = {k: v for k, v in found.groupdict().items() if v is not None}
                return Match(mapping, groups)
        return None


def _read_mapping(number: int, entry: Mapping[str, Any]) -> AssetMapping:
    try:
        templates = entry.get("hatrac_templates", {})
        pattern = re.compile(entry["file_pattern"])
        schema, table = entry["target_table"]
        f"{schema}{table}".format_map(dict.fromkeys(pattern.groupindex, ""))
        return AssetMapping(
            number=number,
            asset_type=entry.get("asset_type", "file"),
            file_pattern=pattern,
            target=(_template(schema), _template(table)),
            column_map={c: _template(t) for c, t in entry.get("column_map", {}).items()},
            object_name=_template(templates.get("hatrac_uri")),
            disposition=_template(templates.get("content-disposition")),
            chunk_bytes=_chunk_bytes(entry.get("hatrac_options", {}).get("chunk_size")),
        )
    except (LookupError, ValueError, TypeError, AttributeError, re.error) as error:
        what = f"mapping {number} of the bulk spec"
        raise _unusable(what, f"{type(error).__name__}: {error}") from None


T = TypeVar("T", str, str | None)


def _template(text: T) -> T:
    """Return *text* if it is a template whose names can be filled with text."""
    if not isinstance(text, str | None):
        raise TypeError(f"{text!r} is no template")
    if text:
        text.format_map(defaultdict(str))
    return text


def _chunk_bytes(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and value > 0):
        return value
    raise ValueError(f"chunk_size {value!r} is no number of bytes")


def _unusable(what: str, why: str) -> RefusedError:
    then = "Mend the specification; `deriva-watch spec` prints the one in force."
    return RefusedError(f"{what} cannot be used", why, then)


def environment(match: Match, file_name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that templates of *match* may use, before the content is known.

    Args:
        match: The mapping that took the file.
        file_name: Last segment of its path.
        values: Metadata by column; they take the place of the raw groups.
    """
    known: dict[str, Any] = dict(match.groups)
    for column, group in match.mapping.groups.items():
        known[group] = values.get(column)
    known.setdefault("file_ext", "".join(PurePosixPath(file_name).suffixes))
    return known | {"file_name": file_name, "target_table": str(match.table)}


def row(match: Match, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row that the column map makes of the *known* names.

    A column whose template names something unknown is left out; a template that is a single name
    keeps the type of its value.
    """
    there = {name: value for name, value in known.items() if value is not None}
    made = {}
    for column, template in match.mapping.column_map.items():
        single = _SINGLE.fullmatch(template)
        try:
            made[column] = there[single[1]] if single else template.format_map(there)
        except KeyError:
            continue
    return made


def object_name(match: Match, known: Mapping[str, Any]) -> str:
    """Return the Hatrac name of the file, percent-encoded as it goes on the wire.

    A name that is too long for the server is cut before its end; it begins with the content's MD5,
    so it still names one content, and the row keeps the whole file name.
    """
    template = match.mapping.object_name or "/hatrac/{target_table}/{md5}.{file_name}"
    texts = {name: quote(_text(value), safe="") for name, value in known.items()}
    parent, _, leaf = _filled(template, texts).rpartition("/")
    return f"{parent}/{_cut(leaf)}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _filled(template: str, texts: Mapping[str, str]) -> str:
    try:
        return template.format_map(texts)
    except KeyError as error:
        why = f"the template {template} names {error}, which is not known of a file"
        raise _unusable("a template of the bulk spec", why) from None


def _cut(leaf: str) -> str:
    """Return as much of *leaf* as Hatrac takes, without half a character at the end."""
    if len(leaf) <= _NAME_BYTES:
        return leaf
    head = re.sub(r"%[0-9A-F]?\Z", "", leaf[:_NAME_BYTES])
    while not _is_whole(head):
        head = head[: head.rindex("%")]
    return head


def _is_whole(quoted: str) -> bool:
    try:
        unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def content_disposition(match: Match, known: Mapping[str, Any]) -> str | None:
    """Return the Content-Disposition; Hatrac takes plain characters only, others become "_"."""
    if match.mapping.disposition is None:
        return None
    plain = {name: re.sub(r"[^a-zA-Z0-9_.-]", "_", _text(value)) for name, value in known.items()}
    return _filled(match.mapping.disposition, plain)
