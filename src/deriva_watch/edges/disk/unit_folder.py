"""Opens the folder of a unit, in which we write files of our own.

Whoever may write to the folder above can replace the unit's folder at any moment, for instance with
a link to somebody's home. So we open it once, check what was opened, and then name files only by
this descriptor and a name without "/".
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.edges.disk.open_folders import open_real
from deriva_watch.edges.disk.scanning.inodes import is_number
from deriva_watch.edges.disk.scanning.links import Links


@contextmanager
def opened(root: Path, links: Links, seen: Observation | None = None) -> Iterator[int]:
    """Yield the folder *root* of a unit as a descriptor, for writing below it.

    Args:
        root: The folder; it may be a link that its owner made.
        links: Where links may lead.
        seen: The look at the unit; it must still be the same folder of the same owner.

    Raises OSError if it cannot be opened, PermissionError if we must not write there.
    """
    try:
        base, link_owner = links.base(root)
    except RefusedError as error:
        raise _denied(root, error.why) from error
    folder = open_real(base)
    try:
        found = os.fstat(folder)
        if link_owner not in {None, found.st_uid}:
            raise _denied(root, f"user {link_owner} made the link, user {found.st_uid} owns {base}")
        if seen is not None and not _is_same(found, base, seen):
            raise _denied(root, "it was replaced by another folder meanwhile")
        yield folder
    finally:
        os.close(folder)


def _is_same(found: os.stat_result, base: str, seen: Observation) -> bool:
    _, device, inode = seen.directories.get(base, (0, found.st_dev, found.st_ino))
    is_owner = seen.owner in {None, found.st_uid}
    return is_owner and device == found.st_dev and is_number(inode, found, base)


def _denied(root: Path, why: str) -> PermissionError:
    return PermissionError(errno.EPERM, f"we do not write there: {why}", os.fspath(root))
