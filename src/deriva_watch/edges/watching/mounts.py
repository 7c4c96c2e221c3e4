"""Which file system holds a folder, and what that one can be trusted with (proc(5), mountinfo)."""

import os
import re
from pathlib import Path
from typing import Final

# Others can change these without an event here.
_REMOTE: Final = re.compile(
    "nfs4?|cifs|smb3|smbfs|lustre|9p|afs|ceph|gpfs|beegfs|glusterfs|virtiofs|fuse(blk|[.].*)?"
)
_LOCAL: Final = re.compile("ext[234]|xfs|btrfs|zfs|f2fs|bcachefs")
# A directory's change time moves with every name that comes or goes.
_DATED: Final = re.compile("ext[234]|xfs|btrfs|zfs|f2fs|bcachefs|tmpfs|overlay|nfs4?|lustre|ceph")


def file_system(folder: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that holds *folder*, "" where that is not known.

    *mounts* are the lines of mountinfo; None: those of this process.
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
    """Tell whether a file system can change without an event on this machine."""
    return bool(_REMOTE.fullmatch(kind))


def is_local(kind: str) -> bool:
    """Tell whether a file system is one that a single machine has."""
    return bool(_LOCAL.fullmatch(kind))


def dates_directories(kind: str) -> bool:
    """Tell whether a directory that looks unchanged has the names it had."""
    return bool(_DATED.fullmatch(kind))
