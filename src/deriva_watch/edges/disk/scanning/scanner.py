"""Scans execution directories for their present files. Only reads, creates nothing."""
# ruff: noqa: PTH112
# A Path object for every name would double the time of a scan.

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from deriva_watch.core.completeness.observation import DirectoryStamp, Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.os_errors import raise_if_passing, reason
from deriva_watch.edges.disk.scanning.ignore_file import SlowIgnoresError
from deriva_watch.edges.disk.scanning.inodes import Inodes, is_number
from deriva_watch.edges.disk.scanning.look import Directory, Look
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.liveness import beat


def scan(root: Path, policy: ScanPolicy) -> Observation | None:
    """Scan everything below *root*; return None if it is no longer a directory.

    Names that vanish during the scan are left out.

    Raises TransientError if the disk fails or this process may not open more files, which says
    nothing about the directory.
    """

    def walk(look: Look, link_owner: int | None) -> None:
        if link_owner is not None:
            look.directories[str(root)] = _directory_stamp(os.lstat(root))
        look.walk(Directory(look.base, "", link_owner))
        look.follow_links()

    seen = _observe(root, policy, walk)
    if seen and not seen.entries and not seen.unreadable and not os.path.isdir(root):
        return None
    return seen


def look_at(root: Path, paths: Iterable[str], policy: ScanPolicy) -> Observation | None:
    """Scan only some files below *root*; return None if none of them exists.

    Raises the same errors as `scan`.
    """

    def take(look: Look, _link_owner: int | None) -> None:
        for path in paths:
            beat()
            look.take_path(path)

    seen = _observe(root, policy, take)
    if seen is None or not (seen.entries or seen.unreadable):
        return None
    return replace(seen, owner=None, owners={})  # the folder belongs to many units


def _observe(
    root: Path, policy: ScanPolicy, walk: Callable[[Look, int | None], None]
) -> Observation | None:
    """Let *walk* look below *root*, and return what it found; None without such a folder.

    The second argument of *walk* is the owner of the link that leads to *root*, or None.
    """
    looked_at = datetime.now(UTC)
    try:
        links = policy.links()
        base, link_owner = links.base(root)
        ignores = policy.ignores(base, link_owner)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except RefusedError as error:
        return Observation(str(root), {}, looked_at, {".": error.why})
    except OSError as error:
        raise_if_passing(f"cannot read {root}", error)
        return Observation(str(root), {}, looked_at, {".": reason(error)})
    look = Look(base, links, ignores, policy.trusted_owners, Inodes(policy.inodes_stay))
    try:
        walk(look, link_owner)
    except SlowIgnoresError as error:
        return Observation(str(root), {}, looked_at, {".": error.why})
    return Observation(
        str(root),
        look.entries,
        looked_at,
        look.unreadable,
        look.directories,
        look.owner,
        look.skipped(),
        look.owners,
        look.disbelieved,
    )


def same_directories(directories: Mapping[str, DirectoryStamp]) -> bool:
    """Return whether no entry was added, removed or replaced since an `Observation`.

    Does not notice that a file has grown.
    """
    try:
        for path, stamp in directories.items():
            beat()
            if not _is_same(os.lstat(path), path, stamp):
                return False
    except OSError:
        return False  # the scan will report what it is
    return True


def _is_same(found: os.stat_result, path: str, stamp: DirectoryStamp) -> bool:
    changed_ns, device, number = stamp
    same = (changed_ns, device) == (found.st_ctime_ns, found.st_dev)
    return same and is_number(number, found, path)


def _directory_stamp(found: os.stat_result) -> DirectoryStamp:
    """Return a stamp that changes with every entry; unlike the mtime, no copy can reset it."""
    return found.st_ctime_ns, found.st_dev, found.st_ino
