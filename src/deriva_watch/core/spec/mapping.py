"""One mapping of a bulk spec, ready to use, and its match of a path.

The meaning of every key is that of deriva-py's uploader, version 1.7.12.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from deriva_watch.core.errors import RefusedError, UnusableSpecError
from deriva_watch.core.model import FILE_COLUMNS, TableName
from deriva_watch.core.patterns import Pattern

SINGLE: Final = re.compile(r"\{(\w+)\}")  # a template that is one name keeps its value's type
NULL_SENTINEL_PROCESSOR: Final = "NullSentinelProcessor"
BAG_PROCESSOR: Final = "BagArchiveProcessor"
_SENTINELS: Final = frozenset(
    {
        "deriva_watch.NullSentinelProcessor",
        "deriva_ml.asset.null_sentinel_processor.NullSentinelProcessor",
    }
)
_UPLOADERS_OWN: Final = {
    f"deriva.transfer.upload.processors.{module}": name
    for module, name in (
        ("archive_processor.BagArchiveProcessor", BAG_PROCESSOR),
        ("rename_processor.FileRenameProcessor", "FileRenameProcessor"),
        ("logging_processor.LoggingProcessor", "LoggingProcessor"),
        ("metadata_update_processor.MetadataUpdateProcessor", "MetadataProcessor"),
    )
}
# The queries that `by_content` answers itself, in all spellings.
_OUR_QUERIES: Final = frozenset(
    f"/entity/{{target_table}}/{filters}"
    for name in ("{file_name}", "{file_name_urlencoded}")
    for filters in (f"MD5={{md5}}&Filename={name}", f"Filename={name}&MD5={{md5}}")
)
_PLAIN_NAME: Final = Pattern("[^a-zA-Z0-9_.-]")  # as deriva-py has it
_OUR_COLUMNS: Final = {
    "MD5": "{md5}",
    "URL": "{URI}",
    "Length": "{file_size}",
    "Filename": "{file_name}",
}


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor that runs before or after the upload of a file.

    Attributes:
        name: Its name in the spec.
        type: Path of its class, or None for one of the uploader's own.
        params: As the spec gives them.
    """

    name: str
    type: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def built_in(self) -> str | None:
        """Its name if it is built in; None for any other class."""
        if self.type is None:
            return self.name
        return NULL_SENTINEL_PROCESSOR if self.type in _SENTINELS else _UPLOADERS_OWN.get(self.type)


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """`hatrac_options`: how an object is stored, and how its row names it."""

    chunk_bytes: int | None = None
    create_parents: bool = True
    allow_versioning: bool = True
    force: bool = False
    versioned: bool = True  # the row's URL names the version
    sanitize: bool = True
    sanitize_pattern: Pattern = _PLAIN_NAME


@dataclass(frozen=True, slots=True)
class General:
    """The keys of a spec that concern all of its mappings.

    Attributes:
        strict_update: A row may only be replaced if a unique key finds it.
        relative_paths: Patterns see the path below the directory that is uploaded.
        by_extension: Further names, by the file's extension.
        mime_types: Extensions with their dot, by content type.
        versions: Each inner list is an alternative; all of its comparisons must hold.
    """

    strict_update: bool = True
    relative_paths: bool = False
    by_extension: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mime_types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class AssetMapping:
    """One entry of `asset_mappings`; every attribute is the key of that name, or nearly.

    Attributes:
        number: Its place in the list, from 0.
        asset_type: "file" or "table".
        target: Templates for schema and table; None: groups of these names give them.
        object_name, disposition: The two `hatrac_templates`.
        empty_on_update: Columns that an update may leave NULL.
        archive: The whole directory becomes one asset, a bag.
    """

    number: int
    asset_type: str
    dir_pattern: Pattern | None
    ext_pattern: Pattern | None
    file_pattern: Pattern | None
    target: tuple[str, str] | None
    column_map: Mapping[str, str]
    object_name: str | None
    disposition: str | None
    options: ObjectOptions = ObjectOptions()
    column_value_templates: Mapping[str, str] = field(default_factory=dict)
    metadata_queries: tuple[str, ...] = ()
    record_query: str | None = None
    record_update: str | None = None
    require_record_update: bool = False
    empty_on_update: frozenset[str] = frozenset()
    create_record_first: bool = False
    checksums: tuple[str, ...] = ("md5", "sha256")
    safe_overrides: Mapping[str, str] = field(default_factory=dict)
    default_columns: tuple[str, ...] = ()
    pre_processors: tuple[Processor, ...] = ()
    post_processors: tuple[Processor, ...] = ()
    archive: bool = False
    general: General = General()
    entry: Mapping[str, Any] = field(default_factory=dict, repr=False)  # as it is written

    @property
    def chunk_bytes(self) -> int | None:
        """Length of the chunks of large files, or None: the uploader's own."""
        return self.options.chunk_bytes

    @cached_property
    def patterns(self) -> tuple[tuple[str, Pattern], ...]:
        """The patterns that a path must match, by key, in the order in which they are tried."""
        each = {
            "dir_pattern": self.dir_pattern,
            "ext_pattern": self.ext_pattern,
            "file_pattern": self.file_pattern,
        }
        return tuple((key, pattern) for key, pattern in each.items() if pattern is not None)

    @cached_property
    def names(self) -> dict[str, str]:
        """All named groups, each with an empty text."""
        return dict.fromkeys((g for _, p in self.patterns for g in p.groups), "")

    @cached_property
    def groups(self) -> dict[str, str]:
        """The metadata columns that are filled from one named group each: column → group."""
        return metadata_groups(self.column_map, self.names)

    @cached_property
    def decodes(self) -> bool:
        """Whether path segments are percent-encoded and can be the NULL sentinel."""
        return any(p.built_in == NULL_SENTINEL_PROCESSOR for p in self.pre_processors)

    @property
    def processors(self) -> tuple[Processor, ...]:
        """The processors that have to be run; the NULL sentinel is handled with the path."""
        return tuple(
            p
            for p in self.pre_processors + self.post_processors
            if p.built_in not in {NULL_SENTINEL_PROCESSOR, BAG_PROCESSOR}
        )

    @cached_property
    def outside(self) -> bool:
        """Whether its templates use values that come neither from path nor content of a file."""
        said = f"{self.object_name} {self.disposition}"
        return not self.by_content or any(
            name in said for name in ("{_upload_", "{_identity_", "{base_path")
        )

    @cached_property
    def encoded_names(self) -> frozenset[str] | None:
        """The names that its templates use percent-encoded; None: it may be any."""
        if not self.by_content:
            return None
        said = f"{self.object_name} {self.disposition}"
        return frozenset(name for name in re.findall(r"{(\w+)_urlencoded", said))

    @cached_property
    def by_content(self) -> bool:
        """Whether rows of this mapping are found by content, name and metadata alone.

        Such files are uploaded in batches, and a row that says the same is adopted. Any other
        mapping is followed exactly as deriva-py would, file by file.
        """
        rest = {c: t for c, t in self.column_map.items() if c not in _OUR_COLUMNS and c != "RID"}
        return (
            all(self.column_map.get(c) == t for c, t in _OUR_COLUMNS.items())
            and self.column_map.get("RID") in {None, "{RID}"}
            and rest.keys() == self.groups.keys()
            and self.record_query in _OUR_QUERIES | {None}
            and (self.object_name is None or "{md5}" in self.object_name)
            and self.options == ObjectOptions(chunk_bytes=self.options.chunk_bytes)
            and {"md5", "sha256"} == set(self.checksums)
            and not (self.metadata_queries or self.column_value_templates or self.processors)
            and not (self.record_update or self.require_record_update or self.create_record_first)
            and not (self.empty_on_update or self.archive or self.general.by_extension)
        )


@dataclass(frozen=True, slots=True)
class Match:
    """A path that a mapping matches, with the named groups that have a value."""

    mapping: AssetMapping
    groups: Mapping[str, str]

    @property
    def table(self) -> TableName:
        """The table of the file; raises RefusedError if the path does not give it."""
        schema = table = ""
        if self.mapping.target:
            said = self.mapping.names | dict(self.groups)
            schema, table = (part.format_map(said) for part in self.mapping.target)
        if not (schema and table):
            lower = {name.lower(): value for name, value in self.groups.items()}
            schema, table = lower.get("schema", schema), lower.get("table", table)
        if not (schema and table):
            raise RefusedError(
                f"mapping {self.mapping.number} of the bulk spec gives no table",
                "neither its target_table nor a group of its patterns names schema and table",
                "Move the file, or correct the bulk spec.",
            )
        return TableName(schema, table)

    @property
    def target_table(self) -> str:
        """The table as templates name it, ready for a URL."""
        schema, table = self.table
        return f"{quote(schema, safe='')}:{quote(table, safe='')}"


def metadata_groups(column_map: Mapping[str, str], groups: Container[str]) -> dict[str, str]:
    """Return the metadata columns of a `column_map` that are filled from one of *groups* each."""
    singles = {c: SINGLE.fullmatch(t) for c, t in column_map.items()}
    own = FILE_COLUMNS | {"RID"}
    return {
        c: found[1] for c, found in singles.items() if found and found[1] in groups and c not in own
    }


def unusable(what: str, why: str) -> UnusableSpecError:
    """Return the refusal of a bulk spec that cannot be used."""
    then = "Correct the bulk spec; `deriva-watch spec` prints the one in use."
    return UnusableSpecError(f"{what} cannot be used", why, then)
