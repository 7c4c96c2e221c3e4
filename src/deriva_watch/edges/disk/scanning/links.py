"""Which links may be followed, and which files may be read through them.

Anybody who may write below a prefix can make links there: to the files of others, or to secrets.
So a link may lead only into the prefix and the folders named in the settings, and only to files of
the user who made the link.
"""
# ruff: noqa: PTH118,PTH116,PTH120
# A Path object for every name would double the time of a scan.

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Self

from deriva_watch.core.completeness.observation import SECRET_FOLDERS
from deriva_watch.core.errors import RefusedError

_TYPES: Final = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}


class Links(NamedTuple):
    """Where links may lead, as paths without links at the time of the scan."""

    roots: tuple[str, ...]
    state: str  # "" where there is none

    @classmethod
    def within(cls, prefix: str, others: Iterable[Path], state: Path | None) -> Self:
        """Allow links into *prefix*, a path without links, and into *others*.

        None may lead into *state*, the directory of the journal.
        """
        roots = (prefix, *map(os.path.realpath, others))
        return cls(roots, os.path.realpath(state) if state else "")

    def objection(self, target: str) -> str | None:
        """Return why no link may lead to *target*, an absolute path without links, or None."""
        if not any(below(target, root) for root in self.roots):
            return f"it leads to {target}, outside the prefix and [files] allowed_link_roots"
        names = target.split("/")
        name = names[-1].lower()
        secret = name.endswith(".json") and "credential" in name
        if secret or not SECRET_FOLDERS.isdisjoint(names) or below(target, self.state):
            return f"it leads to {target}, which holds credentials or the daemon's own state"
        return None

    def objection_to_file(
        self, path: str, found: os.stat_result, link_owner: int | None
    ) -> str | None:
        """Return why the file at *path*, a path without links, must not be uploaded, or None."""
        if not stat.S_ISREG(found.st_mode):
            noun = _TYPES.get(stat.S_IFMT(found.st_mode), "a special file")
            return f"it is {noun}; only regular files can be uploaded"
        why = None
        if link_owner is not None:
            why = self.objection(path) or stranger(found, link_owner)
        elif found.st_nlink > 1:  # anybody who may write to the folder can have made the hard link
            why = stranger(found, os.stat(os.path.dirname(path)).st_uid)
        if why is None and not found.st_mode & stat.S_IROTH and not os.access(path, os.R_OK):
            why = f"the user of the daemon may not read it (mode {stat.S_IMODE(found.st_mode):04o})"
        return why

    def base(self, root: Path) -> tuple[str, int | None]:
        """Return the path of *root* without links, and the owner of *root* if it is a link.

        Raises:
            RefusedError: *root* or a folder above it is a link that must not be followed.
            OSError: It does not exist.
        """
        base = resolved(str(root))
        link = os.lstat(root)
        is_link = stat.S_ISLNK(link.st_mode)
        why = self.objection(base) or (stranger(os.stat(base), link.st_uid) if is_link else None)
        if why:
            raise unreadable(str(root), why)
        return base, link.st_uid if is_link else None


def real_path(prefix: Path, named: Path) -> str:
    """Return the path of *prefix* without links; *named* is the part that the settings name.

    Below *named*, names are other people's. A link there is followed only to a folder of the user
    who made it, or if root made it: nobody can have the files of others uploaded as their own.

    Raises:
        RefusedError: A link below *named* leads to a folder of somebody else than its maker.
        OSError: A part of it does not exist, or cannot be looked at.
    """
    place = os.path.realpath(named, strict=True)
    for name in prefix.parts[len(named.parts) :]:
        place = entered(os.path.join(place, name))
    return place


def entered(path: str) -> str:
    """Return where *path* is, whose last name may be a link; raises as `real_path`."""
    link = os.lstat(path)
    if not stat.S_ISLNK(link.st_mode):
        return path
    place = resolved(path)
    owner = os.stat(place).st_uid
    if link.st_uid not in {0, owner}:
        why = f"it is a link by user {link.st_uid} to a folder of user {owner}"
        then = f"If {place} is to be watched, name it in a [[watch]] of its own."
        raise RefusedError(f"cannot watch {path}", why, then)
    return place


def stranger(found: os.stat_result, linked_by: int) -> str | None:
    """Return why a link by user *linked_by* to *found* must not be followed, or None."""
    readable_by_all = found.st_mode & stat.S_IROTH
    if found.st_uid == linked_by or (found.st_uid == 0 and readable_by_all):
        return None
    return f"it is a link by user {linked_by} to a file or folder of user {found.st_uid}"


def resolved(path: str) -> str:
    """Return *path*, which must exist, without links; OSError also if they are too many."""
    os.stat(path)  # follows 40 links at most; thousands would take Python seconds
    try:
        return os.path.realpath(path, strict=True)
    except RecursionError:  # they were made meanwhile
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None


def link_owner(root: Path, below: str) -> int | None:
    """Return the owner of the last link on the path from *root* to *below*, or None."""
    owner, path = None, str(root)
    for name in ("", *below.split("/")):
        path = os.path.join(path, name) if name else path
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            owner = found.st_uid
    return owner


def below(path: str, folder: str) -> bool:
    """Return whether *path* is *folder* or below it."""
    return path == folder or (folder != "" and path.startswith(folder.rstrip("/") + "/"))


def unreadable(path: str, why: str) -> RefusedError:
    """Return the error for a file that must not be read."""
    return RefusedError(
        f"cannot read {path}", why, "Replace it with a regular file, or change its owner or mode."
    )
