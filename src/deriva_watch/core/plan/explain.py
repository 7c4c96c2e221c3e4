"""Why a mapping matches a file or does not, and what an upload would make of it, for a person."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.names import RESERVED
from deriva_watch.core.plan.asset_plan import AssetPlan
from deriva_watch.core.spec.mapping import AssetMapping, Match
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.spec.spec_keys import fields
from deriva_watch.core.spec.templates import environment, object_name, row

_DEEPEST: Final = 5  # nested groups that may be open where a prefix of a pattern ends
_OPEN: Final = "open0{}0open"  # placeholder of a value that is not known yet; needs no encoding


@dataclass(frozen=True, slots=True)
class Miss:
    """A mapping that does not match a path.

    Attributes:
        mapping: Its number.
        target: The table of the mapping.
        key: The pattern that does not match.
        matched: The start of the path that a prefix of the pattern does match.
        wants: The rest of the pattern.
        fits: How many characters of all its patterns match, to compare misses.
    """

    mapping: int
    target: str
    key: str
    matched: str
    wants: str
    fits: int


def misses(spec: Spec, path: str, root: str) -> list[Miss]:
    """Return for every mapping why it does not match *path*, the nearest first."""
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
        if nearest := _nearest(pattern, path):
            end, length = nearest
            rest = text[length:]
            return Miss(mapping.number, _target(mapping), key, path[:end], rest, fits + length)
        return Miss(mapping.number, _target(mapping), key, "", text, fits)
    return None


def _nearest(pattern: re.Pattern[str], path: str) -> tuple[int, int] | None:
    """Return where the match of the longest matching prefix of a pattern ends, and its length.

    Of prefixes whose matches end at the same place, take the one with the fewest open groups.
    """
    nearest: tuple[int, int, int] | None = None
    for head in _heads(pattern):
        found = head.pattern.search(path)
        if found is None:
            continue
        end = found.end()
        if nearest is None or (nearest[0] == end and head.open_groups < nearest[2]):
            nearest = end, head.length, head.open_groups
        elif nearest[0] != end:
            break
    return nearest and nearest[:2]


class _Head(NamedTuple):
    """A prefix of a pattern; groups that are open at its end are closed."""

    pattern: re.Pattern[str]
    length: int
    open_groups: int


@cache
def _heads(pattern: re.Pattern[str]) -> tuple[_Head, ...]:
    """Return the prefixes of a pattern that are valid patterns, the longest first."""
    lengths = range(len(pattern.pattern) - 1, 0, -1)
    return tuple(head for length in lengths if (head := _head(pattern, length)))


def _head(pattern: re.Pattern[str], length: int) -> _Head | None:
    for open_groups in range(_DEEPEST):
        text = pattern.pattern[:length] + ")" * open_groups
        try:
            return _Head(re.compile(text, pattern.flags & re.IGNORECASE), length, open_groups)
        except re.error as error:
            if not error.msg.startswith("missing )"):
                return None
    return None


def _target(mapping: AssetMapping) -> str:
    return ":".join(mapping.target) if mapping.target else "{schema}:{table}"


@dataclass(frozen=True, slots=True)
class Outlook:
    """The object and row that an upload will make; values not known before are in braces.

    Attributes:
        object_name: The name of its object; None if a template cannot be filled.
        row: The row that its column map makes.
    """

    object_name: str | None
    row: Mapping[str, Any]


def outlook(asset: AssetPlan, root: str) -> Outlook:
    """Return what is known of the object and row of a planned file before the file is read."""
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
    # Names that only an existing row provides have no value without one.
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
