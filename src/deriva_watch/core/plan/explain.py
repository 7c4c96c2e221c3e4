"""Why a mapping took a file or did not, and what would become of it, for a person."""

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

_DEEPEST: Final = 5  # groups within groups, of which a beginning is looked for
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
        if nearest := _nearest(pattern, path):
            end, length = nearest
            rest = text[length:]
            return Miss(mapping.number, _target(mapping), key, path[:end], rest, fits + length)
        return Miss(mapping.number, _target(mapping), key, "", text, fits)
    return None


def _nearest(pattern: re.Pattern[str], path: str) -> tuple[int, int] | None:
    """Return how much of *path* the longest beginning of a pattern fits that fits, and its length.

    Of beginnings that fit as much the one is told that cuts through the fewest groups.
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
    """A beginning of a pattern, with the groups closed that are open where it ends."""

    pattern: re.Pattern[str]
    length: int
    open_groups: int


@cache
def _heads(pattern: re.Pattern[str]) -> tuple[_Head, ...]:
    """Return the beginnings of a pattern that are patterns themselves, the longest first."""
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
