"""Which file system a folder is on, and what that file system guarantees (proc(5), mountinfo)."""

import os
import re
from pathlib import Path
from typing import Final

# Other hosts can change these without an event here.
_REMOTE: Final = re.compile(
    "nfs4?|cifs|smb3|smbfs|lustre|9p|afs|ceph|gpfs|beegfs|glusterfs|virtiofs|fuse(blk|[.].*)?"
)
_LOCAL: Final = re.compile("ext[234]|xfs|btrfs|zfs|f2fs|bcachefs")
# They change the time of a directory whenever an entry is added or removed.
_DATES_DIRECTORIES: Final = re.compile(
    "ext[234]|xfs|btrfs|zfs|f2fs|bcachefs|tmpfs|overlay|nfs4?|lustre|ceph"
)


def file_system(folder: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that *folder* is on, "" if unknown.

    *mounts* is the text of a mountinfo file; None: that of this process.
    """
    lines = mounts or os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    path, best, kind = os.path.realpath(folder), "", ""
    for line in lines.splitlines():
        fields, _, source = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields.split(" ")[4])
        point = point.rstrip("/")
        if len(point) >= len(best) and f"{path}/".startswith(f"{point}/"):
            best, kind = point, source.partition(" ")[0]
    return kind


def is_remote(kind: str) -> bool:
    """Return whether other hosts can change this type of file system without an event here."""
    return bool(_REMOTE.fullmatch(kind))


def is_local(kind: str) -> bool:
    """Return whether only one host can mount this type of file system."""
    return bool(_LOCAL.fullmatch(kind))


def dates_directories(kind: str) -> bool:
    """Return whether a directory with an unchanged time has unchanged entries."""
    return bool(_DATES_DIRECTORIES.fullmatch(kind))
