"""Why a mapping matches a file or does not, and what an upload would make of it, for a person."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.names import RESERVED
from deriva_watch.core.patterns import Pattern, TooSlowError
from deriva_watch.core.plan.asset_plan import AssetPlan
from deriva_watch.core.spec.mapping import AssetMapping, Match
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.spec.spec_keys import fields
from deriva_watch.core.spec.templates import environment, object_name, row

_DEEPEST: Final = 5  # nested groups that may be open where a prefix of a pattern ends
_PREFIX_S: Final = 0.05  # computing time for one prefix: a pattern has hundreds of them
_OPEN: Final = "open0{}0open"  # placeholder of a value that is not known yet; needs no encoding


@dataclass(frozen=True, slots=True)
class Miss:
    """A mapping that does not match a path.

    Attributes:
        mapping: Its number.
        target: The table of the mapping.
        key: The pattern that does not match.
        matched: The start of the path that a prefix of the pattern does match; None if that takes
            too long to find out.
        wants: The rest of the pattern.
        fits: How many characters of all its patterns match, to compare misses.
    """

    mapping: int
    target: str
    key: str
    matched: str | None
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
        text = pattern.text
        try:
            if pattern.search(path):
                fits += len(text)
                continue
            end, length = _nearest(pattern, path) or (0, 0)
        except TooSlowError:
            return Miss(mapping.number, _target(mapping), key, None, text, fits)
        rest = text[length:]
        return Miss(mapping.number, _target(mapping), key, path[:end], rest, fits + length)
    return None


def _nearest(pattern: Pattern, path: str) -> tuple[int, int] | None:
    """Return where the match of the longest matching prefix of a pattern ends, and its length.

    Of prefixes whose matches end at the same place, take the one with the fewest open groups.
    """
    nearest: tuple[int, int, int] | None = None
    for length in range(len(pattern.text) - 1, 0, -1):
        head = _head(pattern, length)
        found = head and head.pattern.search(path, _PREFIX_S)
        if head is None or found is None:
            continue
        end = found.end()
        if nearest is None or (nearest[0] == end and head.open_groups < nearest[2]):
            nearest = end, length, head.open_groups
        elif nearest[0] != end:
            break
    return nearest and nearest[:2]


class _Head(NamedTuple):
    """A prefix of a pattern; groups that are open at its end are closed."""

    pattern: Pattern
    open_groups: int


@lru_cache(maxsize=4096)
def _head(pattern: Pattern, length: int) -> _Head | None:
    """Return the prefix of a pattern of that *length*; None if it is not a valid pattern."""
    for open_groups in range(_DEEPEST):
        text = pattern.text[:length] + ")" * open_groups
        try:
            return _Head(Pattern(text, pattern.ignore_case), open_groups)
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
    """Return the parts of a file's object and row that are known before it is read."""
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
    made = row(match, known, preview=True)
    return Outlook(name, {c: _opened(v) if isinstance(v, str) else v for c, v in made.items()})


def _templates(match: Match) -> list[str]:
    mapping = match.mapping
    return [t for t in (*mapping.column_map.values(), mapping.object_name) if t]


def _opened(text: str) -> str:
    return re.sub(r"open0(.+?)0open", r"{\1}", text)
