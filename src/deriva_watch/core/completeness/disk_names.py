"""The names that describe files, as the disk spells them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar

from deriva_watch.core.completeness.coverage import key_of
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.layout import place
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.unicode_forms import ANOTHER_FORM, respelled

T = TypeVar("T")
_ABOUT: Final = "names of files"


def as_on_disk(said: Sources, seen: Observation) -> Sources:
    """Return *said* with its names as the disk spells them, where only the Unicode form differs."""
    entries, problems, ambiguous = {}, {}, frozenset[str]()
    if said.manifest:
        entries, problems = dict(said.manifest.entries), dict(said.manifest.problems)
        ambiguous = said.manifest.ambiguous
    of_types = {f"{table.table}/{name}" for table, names in said.types.items() for name in names}
    asked = entries.keys() | problems.keys() | said.workspace.keys() | of_types
    if all(map(str.isascii, asked)):
        return said
    there = {key_of(where.part) for path in seen.entries if (where := place(path))}
    other = respelled(asked, there)
    if not other:
        return said
    manifest = said.manifest and replace(
        said.manifest,
        entries=_fitted(entries, other),
        problems=_fitted(problems, other),
        ambiguous=frozenset(other.get(key, key) for key in ambiguous),
    )
    why = (
        f"the disk spells {len(other)} of those that have metadata or types {ANOTHER_FORM}, such "
        f"as {min(other).rpartition('/')[2]!r}; they are taken for the same"
    )
    return replace(
        said,
        manifest=manifest,
        workspace=_fitted(said.workspace, other),
        types={
            table: _fitted(names, other, f"{table.table}/") for table, names in said.types.items()
        },
        notices={**said.notices, _ABOUT: why},
    )


def _fitted(said: Mapping[str, T], other: Mapping[str, str], lead: str = "") -> dict[str, T]:
    """Return *said* by other names; a name that says something itself stays with that."""
    found: dict[str, T] = {}
    for name, value in said.items():
        new = other.get(f"{lead}{name}", f"{lead}{name}").removeprefix(lead)
        found[name if new in said or new in found else new] = value
    return found
