"""What a directory that somebody wants to upload is made of."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deriva_watch.core.layout import LOOSE, Located, locate
from deriva_watch.core.unit import Unit, UnitKind


@dataclass(frozen=True, slots=True)
class Part:
    """Files that go up together.

    Attributes:
        unit: The execution directory, the tables outside any, or a folder that is neither.
        below: Only the files below this folder of it; "": all of them.
        named: Its files were named one by one: they belong to it wherever they lie.
    """

    unit: Unit
    below: str = ""
    named: bool = False

    @property
    def root(self) -> Path:
        """The directory that its paths begin at."""
        return self.unit.root

    def has(self, path: str) -> bool:
        """Tell whether a file belongs to it, by its path below its root."""
        if self.named:
            return True
        if self.unit.kind is UnitKind.LOOSE:  # files of an execution belong to that execution
            return locate(f"{self.root}/{path}") is None
        return not self.below or path.startswith(f"{self.below}/")

    @property
    def is_whole(self) -> bool:
        """Whether all files below its root belong to it."""
        return self.unit.kind is not UnitKind.LOOSE and not self.below


def parts_of(directory: Path) -> list[Part]:
    """Return the parts of a directory: an execution, or several, tables, and whatever else.

    Args:
        directory: Absolute.
    """
    if whole := locate(str(directory)):
        return [_part(whole)]
    homes: dict[Located, None] = {}
    return [*_homes(directory, homes), *map(_part, homes)]


def _homes(directory: Path, homes: dict[Located, None]) -> Iterator[Part]:
    """Collect the executions and tables below a directory; yield a part for all other files."""
    others = False
    for folder, names, files in os.walk(directory):
        if found := locate(folder):
            homes[found] = None
            names.clear()
        else:
            names.sort()
            others = others or bool(files)
    if others:
        yield Part(Unit(directory, LOOSE))


def _part(found: Located) -> Part:
    return Part(Unit(Path(found.prefix), found.rid), found.below)
