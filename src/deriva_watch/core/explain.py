"""Why a mapping took a file or did not, and what would become of it, for a person."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.mapping import AssetMapping, Match
from deriva_watch.core.names import RESERVED
from deriva_watch.core.plan import AssetPlan
from deriva_watch.core.spec import Spec
from deriva_watch.core.spec_keys import fields
from deriva_watch.core.templates import environment, object_name, row

_OPEN: Final = "open0{}0open"  # stands for a name whose value is not known yet; always plain


@dataclass(frozen=True, slots=True)
class Miss:
    """A mapping that does not take a path.

    Attributes:
        mapping: Its number.
        target: The table that it would go to, as the mapping says it.
        key: The pattern that is not found in the path.
        matched: How much of the path its beginning does fit: up to here all is well.
        wants: The rest of the pattern, which finds nothing after that.
        fits: How much of all its patterns is fulfilled, in characters of theirs.
    """

    mapping: int
    target: str
    key: str
    matched: str
    wants: str
    fits: int


def misses(spec: Spec, path: str, root: str) -> list[Miss]:
    """Return for every mapping why it does not take *path*, the nearest first."""
    seen = path.removeprefix(f"{root}/") if spec.general.relative_paths else path
    found = [miss for mapping in spec.mappings if (miss := _miss(mapping, seen))]
    return sorted(found, key=lambda miss: (-miss.fits, miss.mapping))


def _miss(mapping: AssetMapping, path: str) -> Miss | None:
    fits = 0
    for key, pattern in mapping.patterns:
        text = pattern.pattern
        if pattern.search(path):
            fits += len(text)
            continue
        for head, length in _heads(pattern):
            if found := head.search(path):
                matched, rest = path[: found.end()], text[length:]
                return Miss(mapping.number, _target(mapping), key, matched, rest, fits + length)
        return Miss(mapping.number, _target(mapping), key, "", text, fits)
    return None


@cache
def _heads(pattern: re.Pattern[str]) -> tuple[tuple[re.Pattern[str], int], ...]:
    """Return the beginnings of a pattern that are patterns themselves, the longest first."""
    heads = []
    for length in range(len(pattern.pattern) - 1, 0, -1):
        try:
            head = re.compile(pattern.pattern[:length], pattern.flags & re.IGNORECASE)
            heads.append((head, length))
        except re.error:
            continue
    return tuple(heads)


def _target(mapping: AssetMapping) -> str:
    return ":".join(mapping.target) if mapping.target else "{schema}:{table}"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What will become of a file; what is not known before its upload stands in braces.

    Attributes:
        object_name: The name of its object, or None: a template cannot be filled.
        row: The row that its column map makes.
    """

    object_name: str | None
    row: Mapping[str, Any]


def outlook(asset: AssetPlan, root: str) -> Outlook:
    """Return what is known of the object and the row of a planned file before it is read."""
    match = asset.match
    folder = f"{root}/{asset.path}".rpartition("/")[0]
    known = environment(match, asset.file_name, asset.values, folder)
    known["file_size"] = asset.entry.size_bytes
    if asset.given_rid is not None:
        known["RID"] = asset.given_rid
    if asset.members:  # the bag has another name and length than its directory
        for of_directory in ("file_name", "file_size", "file_ext", "base_name", "base_path"):
            known.pop(of_directory)
    named = {field for template in _templates(match) for field in fields(template)}
    # What only a row gives that is there already says nothing without it.
    row_only = match.mapping.column_map.keys() - RESERVED
    later = {n for n in named if n not in known and n not in row_only}
    known |= {name: _OPEN.format(name) for name in later}
    try:
        name: str | None = _opened(object_name(match, known))
    except RefusedError:
        name = None
    made = row(match, known)
    return Outlook(name, {c: _opened(v) if isinstance(v, str) else v for c, v in made.items()})


def _templates(match: Match) -> list[str]:
    mapping = match.mapping
    return [t for t in (*mapping.column_map.values(), mapping.object_name) if t]


def _opened(text: str) -> str:
    return re.sub(r"open0(.+?)0open", r"{\1}", text)
