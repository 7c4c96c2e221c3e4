"""What identifies a file: its inode number, or its path where inode numbers do not stay."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from deriva_watch.core.completeness.observation import Stamp, path_number


@dataclass(frozen=True, slots=True)
class Inodes:
    """The numbers of files in one look.

    Attributes:
        stay: Returns whether inode numbers stay on the file system of a path.
    """

    stay: Callable[[str], bool]
    _known: dict[int, bool] = field(default_factory=dict)  # by device

    def number(self, found: os.stat_result, path: str) -> int:
        """Return the number of the file or folder *found* at *path*, which has no links."""
        if found.st_dev not in self._known:
            self._known[found.st_dev] = self.stay(path)
        return found.st_ino if self._known[found.st_dev] else path_number(path)


def is_number(noted: int, found: os.stat_result, path: str) -> bool:
    """Return whether a number that was noted is that of the file *found* at *path*."""
    return noted == found.st_ino or noted == path_number(path)


def is_stamp(noted: Stamp, found: os.stat_result, path: str) -> bool:
    """Return whether a stamp that was noted is that of the file *found* at *path*."""
    size_bytes, mtime_ns, inode = noted
    same = (size_bytes, mtime_ns) == (found.st_size, found.st_mtime_ns)
    return same and is_number(inode, found, path)
