"""A bulk spec: which file goes to which table."""

from typing import Any

from deriva_watch.core.spec.mapping import SINGLE, AssetMapping, Match, unusable
from deriva_watch.core.spec.spec_reading import read

__all__ = ["SINGLE", "AssetMapping", "Match", "Spec", "unusable"]


class Spec:
    """A bulk spec. A file belongs to the first mapping whose patterns are all found in its path."""

    def __init__(self, document: Any) -> None:
        """Read *document*; raise UnusableSpecError with everything in it that is invalid."""
        self.document = document
        self.general, self.mappings, problems = read(document)
        if problems:
            raise unusable("the bulk spec", "; ".join(problems))

    @classmethod
    def read(cls, document: Any) -> tuple["Spec", list[str]]:
        """Return the valid part of *document*, and the problems of the rest."""
        spec = cls.__new__(cls)
        spec.document = document
        spec.general, spec.mappings, problems = read(document)
        return spec, problems

    def match(self, path: str, root: str = "") -> Match | None:
        """Return the match of *path*, which is absolute, or None.

        *root* is the directory that is uploaded; the patterns may be for the path below it.
        """
        seen = path.removeprefix(f"{root}/") if self.general.relative_paths and root else path
        found = (match for mapping in self.mappings if (match := _matched(mapping, seen)))
        return next(found, None)


def _matched(mapping: AssetMapping, path: str) -> Match | None:
    groups: dict[str, str] = {}
    for _, pattern in mapping.patterns:
        found = pattern.search(path)
        if not found:
            return None
        # A later pattern's group of the same name replaces this one, even without a value.
        named = found.groupdict()
        groups = {k: v for k, v in groups.items() if k not in named}
        groups |= {k: v for k, v in named.items() if v is not None}
    return Match(mapping, groups)
