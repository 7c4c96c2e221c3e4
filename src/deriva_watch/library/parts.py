"""The parts of a directory that `upload_directory` uploads: executions, tables, other files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deriva_watch.core.layout import LOOSE, Located, locate
from deriva_watch.core.unit import Unit, UnitKind


@dataclass(frozen=True, slots=True)
class Part:
    """Files that are uploaded together.

    Attributes:
        unit: The execution directory, the tables outside any, or a folder that is neither.
        below: Only the files below this folder of it; "": all of them.
        named: The caller named its files: they belong to it wherever they are.
    """

    unit: Unit
    below: str = ""
    named: bool = False

    @property
    def root(self) -> Path:
        """The folder that its paths begin at."""
        return self.unit.root

    def has(self, path: str) -> bool:
        """Return whether a file, given by its path below the root, belongs to the part."""
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
    """Return the parts of a directory: executions, tables, and all other files.

    Args:
        directory: Absolute.
    """
    if whole := locate(str(directory)):
        return [_part(whole)]
    homes: dict[Located, None] = {}
    return [*_homes(directory, homes), *map(_part, homes)]


def _homes(directory: Path, homes: dict[Located, None]) -> Iterator[Part]:
    """Collect the executions and tables below a directory; yield a part for all other files."""
    others, unread = False, list[OSError]()
    for folder, names, files in os.walk(directory, onerror=unread.append):
        if found := locate(folder):
            homes[found] = None
            names.clear()
        else:
            names.sort()
            others = others or bool(files)
    if others or unread:  # a look at the part says what cannot be listed
        yield Part(Unit(directory, LOOSE))


def _part(found: Located) -> Part:
    return Part(Unit(Path(found.prefix), found.rid), found.below)
