"""Metadata that is not in the path: manifests and asset-type files.

These functions parse text; the caller reads the disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from deriva_watch.core.json_text import (
    JsonError,
    Repeated,
    read_json,
    read_repeated,
    repeated_in,
)
from deriva_watch.core.layout import MANIFEST
from deriva_watch.core.model import TableName
from deriva_watch.core.values import is_text


@dataclass(frozen=True, slots=True)
class Statement:
    """What one source says of an asset.

    Attributes:
        source: Its name for a person: "the manifest", "the path", "deriva-ml's workspace".
        schema, table: The asset table; schema None if the source gives only the table.
        metadata: Values by column; the source says nothing about other columns.
        types: Asset types, or None for no statement.
        description: Text, or None for no statement.
        rid: The RID that its row must have, or None.
        recorded: The source says that its row is in the catalog already.
    """

    source: str
    table: str
    schema: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    types: tuple[str, ...] | None = None
    description: str | None = None
    rid: str | None = None
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class FeatureRecord:
    """A value of a feature in deriva-ml's workspace database.

    Attributes:
        stage: Its number there.
        feature: Name of the feature.
        values: By column, including columns that the server fills.
        recorded: deriva-ml says that it is in the catalog.
    """

    stage: int
    feature: str
    values: Mapping[str, Any]
    recorded: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed asset-manifest.json: statements by "<Table>/<file>", and its errors."""

    entries: Mapping[str, Statement]
    problems: Mapping[str, str]  # by key; "" is the whole file
    ambiguous: frozenset[str] = frozenset()  # keys that occur twice, or repeat a name


def read_manifest(text: str) -> Manifest:
    """Parse a manifest; invalid entries become sentences, valid ones are used."""
    try:
        document = read_repeated(text)
    except JsonError as error:
        return Manifest({}, {"": f"{MANIFEST} is not valid JSON: {error}"})
    if not isinstance(document, dict):
        return Manifest({}, {"": f"{MANIFEST} is not a JSON object"})
    assets = document.get("assets", {})
    if not isinstance(assets, dict):
        return Manifest({}, {"": f'in {MANIFEST}, "assets" is not an object'})
    if isinstance(document, Repeated):
        return Manifest({}, {"": f"{MANIFEST} names {min(document.names)!r} twice"})
    twice = assets.names if isinstance(assets, Repeated) else frozenset[str]()
    entries, problems, ambiguous = {}, {}, set[str]()
    for key, entry in assets.items():
        why = "it occurs twice" if key in twice else repeated_in(entry)
        if why:
            ambiguous.add(key)
        else:
            try:
                entries[key] = _entry(key, entry)
            except (TypeError, ValueError) as error:
                why = str(error)
        if why:
            problems[key] = f"the manifest's entry {key!r} cannot be used: {why}"
    return Manifest(entries, problems, frozenset(ambiguous))


_NAME_CHARS: Final = 4096  # of a path on Linux


def _entry(key: str, entry: Any) -> Statement:
    if not isinstance(entry, dict):
        raise TypeError("it is not an object")
    table, slash, name = key.partition("/")
    if not (table and slash and name) or "/" in name or len(key) > _NAME_CHARS:
        raise ValueError('its name is not "<Table>/<file>"')
    metadata, types = entry.get("metadata"), entry.get("asset_types")
    if not isinstance(metadata, dict | None):
        raise TypeError('"metadata" is not an object')
    if types is not None and not _are_names(types):
        raise TypeError('"asset_types" is not a list of names')
    for name in ("asset_table", "schema", "description", "rid"):
        value = entry.get(name)
        if value is not None and not (isinstance(value, str) and is_text(value)):
            raise TypeError(f'"{name}" is not a string')
    return Statement(
        source="the manifest",
        schema=entry.get("schema"),
        table=entry.get("asset_table") or table,
        metadata=metadata or {},
        types=None if types is None else tuple(types),
        description=entry.get("description"),
        rid=entry.get("rid"),
        recorded=entry.get("status") == "uploaded" and bool(entry.get("rid")),
    )


_TYPE_LINES: Final = 1_000_000  # of a file
_TOLD: Final = 10  # lines that cannot be read


def read_types(text: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Parse lines of `{file: [types]}`; the last line of a name wins.

    Returns:
        Types by file name, and sentences about the lines that cannot be read.
    """
    if (lines := text.count("\n")) > _TYPE_LINES:
        return {}, [f"it has {lines:,} lines; no more than {_TYPE_LINES:,} are read"]
    types: dict[str, tuple[str, ...]] = {}
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            document = read_json(line)
        except JsonError as error:
            problems.append(f"line {number} is not valid JSON: {error}")
            continue
        if not isinstance(document, dict) or not all(map(_are_names, document.values())):
            problems.append(f"line {number} is not {{file: [types]}}")
            continue
        types.update({name: tuple(names) for name, names in document.items()})
    if (more := len(problems) - _TOLD) > 0:
        problems[_TOLD:] = [f"and {more:,} more lines cannot be read"]
    return types, problems


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


@dataclass(frozen=True, slots=True)
class Sources:
    """All metadata that is not in the paths.

    Attributes:
        manifest: The execution's manifest, or None.
        workspace: Statements of deriva-ml's workspace database by "<Table>/<file>".
        types: Asset types by table and file name, from asset-type/.
        notices: Sentences about sources that could not be read in full, by path.
        features: Feature records of deriva-ml's workspace by the table that it names.
        columns: By table, the order of the metadata columns in paths, from the `.columns.json` of
            `asset_file_path`.
    """

    manifest: Manifest | None = None
    workspace: Mapping[str, Statement] = field(default_factory=dict)
    types: Mapping[TableName, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, tuple[FeatureRecord, ...]] = field(default_factory=dict)
    columns: Mapping[TableName, tuple[str, ...]] = field(default_factory=dict)

    @property
    def have_types(self) -> bool:
        """Whether they give asset types to any file."""
        entries = self.manifest.entries.values() if self.manifest else ()
        statements = chain(entries, self.workspace.values())
        return any(self.types.values()) or any(each.types for each in statements)
