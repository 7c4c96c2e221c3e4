"""Opens the files that a scan has found, if they are still the same and may be read.

A scan decides which files may be opened. Here the checks are repeated on the open descriptor,
because anybody who may write below the prefix can replace any part of a path between the scan and
the opening.
"""
# ruff: noqa: PTH118,PTH116,PTH115
# They are compared as text; a Path object for each file would only cost time.

import os
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO, Final

from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.errors import FileChangedError
from deriva_watch.core.os_errors import raise_if_passing, reason
from deriva_watch.edges.disk.scanning.inodes import is_stamp
from deriva_watch.edges.disk.scanning.links import Links, link_owner, unreadable
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.liveness import begin_reading, depending_on

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_content(root: Path, entry: Entry, policy: ScanPolicy) -> BinaryIO:
    """Open the file of *entry*; hash and send it only through this descriptor.

    Any part of the path may have been replaced since the scan, so the path is not trusted: the
    kernel knows which file the descriptor has open (/proc/self/fd). It must be the path of the
    entry, without a link; the policy must allow it; and it must be the file that was scanned.

    Raises:
        FileChangedError: It is not the scanned file, or it has changed or is gone.
        RefusedError: It may not be read.
    """
    try:
        with depending_on(policy.prefix):
            opened = _open(root, entry, policy.links())
        return BufferedReader(_Content(opened, policy.prefix))
    except PermissionError as error:
        raise unreadable(entry.path, "the user of the daemon may not read it") from error
    except OSError as error:
        raise_if_passing(f"cannot read {entry.path}", error)
        raise FileChangedError(f"{entry.path}: {reason(error)}") from error


def check_unchanged(root: Path, entry: Entry) -> None:
    """Raise FileChangedError unless the name still means the same, unchanged file."""
    try:
        path = os.path.realpath(os.path.join(root, entry.path))
        found = os.stat(path)
    except OSError as error:
        raise_if_passing(f"cannot read {entry.path}", error)
        raise FileChangedError(f"{entry.path}: {reason(error)}") from error
    if not is_stamp(entry.stamp, found, path):
        raise FileChangedError(f"{entry.path} changed since it was scanned")


class _Content(FileIO):
    """An open file; until it is closed, its root is what does not answer if the thread hangs."""

    def __init__(self, descriptor: int, prefix: Path) -> None:
        super().__init__(descriptor, "rb")
        self._end = begin_reading(prefix)

    def close(self) -> None:
        """Close it."""
        super().close()
        self._end()


def _open(root: Path, entry: Entry, links: Links) -> int:
    base, _ = links.base(root)
    expected = entry.target or os.path.join(base, entry.path)
    descriptor = os.open(expected, _OPEN_FLAGS)
    try:
        found = os.fstat(descriptor)
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        owner = link_owner(root, entry.path) if entry.link else None
        if place != expected or not is_stamp(entry.stamp, found, expected):
            raise FileChangedError(f"{entry.path} changed since it was scanned")  # noqa: TRY301
        if why := links.objection_to_file(expected, found, owner):
            raise unreadable(entry.path, why)  # noqa: TRY301
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
