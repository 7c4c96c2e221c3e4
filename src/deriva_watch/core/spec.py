"""A bulk-upload specification, read and applied: which file goes to which table."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import FILE_COLUMNS, TableName

SINGLE: Final = re.compile(r"\{(\w+)\}")  # a template that is one name keeps its value's type


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
        singles = {c: SINGLE.fullmatch(t) for c, t in self.column_map.items()}
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
            raise unusable("the bulk spec", 'it has no list "asset_mappings"')
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
        raise unusable(what, f"{type(error).__name__}: {error}") from None


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


def unusable(what: str, why: str) -> RefusedError:
    """Return the refusal of a specification that cannot be used."""
    then = "Mend the specification; `deriva-watch spec` prints the one in force."
    return RefusedError(f"{what} cannot be used", why, then)
