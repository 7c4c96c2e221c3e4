"""A bulk-upload specification, read and applied: which file goes to which table."""

from typing import Any

from deriva_watch.core.spec.mapping import SINGLE, AssetMapping, Match, unusable
from deriva_watch.core.spec.spec_reading import read

__all__ = ["SINGLE", "AssetMapping", "Match", "Spec", "unusable"]


class Spec:
    """A bulk spec. The first mapping whose patterns are all found in a path takes the file."""

    def __init__(self, document: Any) -> None:
        """Read *document*; UnusableSpecError names everything in it that cannot be understood."""
        self.document = document
        self.general, self.mappings, problems = read(document)
        if problems:
            raise unusable("the bulk spec", "; ".join(problems))

    @classmethod
    def read(cls, document: Any) -> tuple["Spec", list[str]]:
        """Return what can be understood of *document*, and all that cannot."""
        spec = cls.__new__(cls)
        spec.document = document
        spec.general, spec.mappings, problems = read(document)
        return spec, problems

    def match(self, path: str, root: str = "") -> Match | None:
        """Return what takes *path*, absolute with "/" between segments, or None.

        *root* is the directory that is uploaded; a spec may want to see only what lies below.
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
        # A later pattern's group of the same name counts, also where it took no part.
        named = found.groupdict()
        groups = {k: v for k, v in groups.items() if k not in named}
        groups |= {k: v for k, v in named.items() if v is not None}
    return Match(mapping, groups)
