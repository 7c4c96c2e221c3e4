"""Which file system a folder is on, and what that file system guarantees (proc(5), mountinfo)."""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

# Other hosts can change these without an event here.
_REMOTE: Final = re.compile(
    "nfs4?|cifs|smb3|smbfs|lustre|9p|afs|ceph|gpfs|beegfs|glusterfs|virtiofs|fuse(blk|[.].*)?"
)
_LOCAL: Final = re.compile("ext[234]|xfs|btrfs|zfs|f2fs|bcachefs")
# They change the time of a directory whenever an entry is added or removed.
_DATES_DIRECTORIES: Final = re.compile(
    "ext[234]|xfs|btrfs|zfs|f2fs|bcachefs|tmpfs|overlay|nfs4?|lustre|ceph"
)
# The kernel or a program makes up their inode numbers: others after a mount, or once the kernel has
# forgotten a file.
_NUMBERS_ANEW: Final = re.compile("fuse([.].*)?|v?fat|msdos|exfat|vboxsf")
_SMB: Final = {"cifs", "smb3"}


class Mount(NamedTuple):
    """A file system that is mounted: its type, "" if unknown, and its options."""

    kind: str
    options: str = ""

    @property
    def inodes_stay(self) -> bool:
        """Whether a file keeps its inode number, as far as type and options tell."""
        if self.kind in _SMB:  # otherwise this host makes them up
            return "serverino" in self.options.split(",")
        return not _NUMBERS_ANEW.fullmatch(self.kind)


def inodes_stay(path: str) -> bool:
    """Return whether a file keeps its inode number on the file system of *path*.

    Raises OSError if there is nothing at *path*.
    """
    one, other = os.lstat(path), os.lstat(path)
    if one.st_ino != other.st_ino:
        return False
    is_disk = os.major(one.st_dev) != 0  # then its number is not soon that of another
    return _disk_inodes_stay(one.st_dev, path) if is_disk else mount(Path(path)).inodes_stay


@lru_cache(maxsize=256)
def _disk_inodes_stay(_device: int, path: str) -> bool:
    return mount(Path(path)).inodes_stay


def file_system(folder: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that *folder* is on, "" if unknown; see `mount`."""
    return mount(folder, mounts).kind


def mount(folder: Path, mounts: str | None = None) -> Mount:
    """Return the mount that *folder* is on.

    *mounts* is the text of a mountinfo file; None: that of this process.
    """
    return _at(os.path.realpath(folder), list(_points(mounts)))


def kinds_by_name(folder: Path, mounts: str | None = None) -> set[str]:
    """Return the types of the file systems at and below *folder*; nothing there is asked.

    Symbolic links are not followed. *mounts* as for `mount`.
    """
    path, points = os.path.abspath(folder), list(_points(mounts))  # noqa: PTH100  # asks nothing
    below = {found.kind for point, found in points if f"{point}/".startswith(f"{path}/")}
    return {_at(path, points).kind, *below}


def _at(path: str, points: list[tuple[str, Mount]]) -> Mount:
    best, found = "", Mount("")
    for point, each in points:
        if len(point) >= len(best) and f"{path}/".startswith(f"{point}/"):
            best, found = point, each
    return found


def _points(mounts: str | None) -> Iterator[tuple[str, Mount]]:
    lines = mounts or os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    for line in lines.splitlines():
        fields, _, source = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields.split(" ")[4])
        yield point.rstrip("/"), Mount(source.split(" ")[0], source.split(" ")[-1])


def is_remote(kind: str) -> bool:
    """Return whether other hosts can change this type of file system without an event here."""
    return bool(_REMOTE.fullmatch(kind))


def is_local(kind: str) -> bool:
    """Return whether only one host can mount this type of file system."""
    return bool(_LOCAL.fullmatch(kind))


def dates_directories(kind: str) -> bool:
    """Return whether a directory with an unchanged time has unchanged entries."""
    return bool(_DATES_DIRECTORIES.fullmatch(kind))
