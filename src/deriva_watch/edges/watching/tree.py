"""A folder that is watched: where it is, what its hints name, and which watches it has."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.edges.watching.mounts import inodes_stay

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(eq=False, slots=True)
class Tree:
    """A watched folder, alone or with all folders below it.

    Attributes:
        prefix: The root it belongs to; the first value of its hints.
        path: Absolute and without symbolic links, which inotify does not follow.
        name: The second value of its hints, for a change anywhere below. None: only the folder
            itself is watched, and a hint names the entry that changed.
        loose: Without a name, a change of a file is a hint for `LOOSE`.
        descriptors: Its inotify watches.
        complete: Every folder of it has a watch.
        removed: It is no longer watched; the emitter adds no watch for it.
    """

    prefix: Path
    path: str
    name: str | None = None
    loose: bool = False
    descriptors: set[int] = field(default_factory=set)
    complete: bool = True
    removed: bool = False

    @property
    def recursive(self) -> bool:
        """Tell whether the folders below are watched too."""
        return self.name is not None


def identity(folder: Path) -> tuple[int, int] | None:
    """Return device and inode of a folder, which change when another one takes its place.

    Where inode numbers do not stay, only the device counts. None where there is no folder.
    """
    try:
        found = folder.stat()
        stays = inodes_stay(os.path.realpath(folder))
    except OSError:
        return None
    return found.st_dev, found.st_ino if stays else 0


def subfolders(folder: str) -> list[str]:
    """Return the paths of the folders in *folder*, without ours; none if it cannot be read."""
    try:
        descriptor = os.open(folder, _FOLDER)
    except OSError:
        return []  # deleted meanwhile, or not readable for us: the scan reports that
    try:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()) != folder:
            return []  # a folder above it was replaced
        with os.scandir(descriptor) as found:
            return [
                f"{folder}/{each.name}"
                for each in found
                if each.is_dir(follow_symlinks=False) and not each.name.startswith(OWN_PREFIX)
            ]
    except OSError:
        return []
    finally:
        os.close(descriptor)
