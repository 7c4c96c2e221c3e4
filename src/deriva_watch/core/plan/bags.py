"""Directories that become one asset: which one a file belongs to, and what goes into its bag."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from posixpath import normpath

from deriva_watch.core.completeness.observation import Entry, Kind, Observation
from deriva_watch.core.plan.asset_plan import AssetPlan
from deriva_watch.core.spec.spec import Match


def bag_of(match: Match, root: str, path: str) -> str | None:
    """Return the directory below *root* that becomes a bag with the file *path* in it.

    A group called archive_path names it, else it is the one that the file lies in. None: it would
    be the whole of *root*, or lie outside.
    """
    parent = f"{root}/{path}".rpartition("/")[0]
    given = normpath(match.groups.get("archive_path", parent))
    return given.removeprefix(f"{root}/") if given.startswith(f"{root}/") else None


def spoilt(folder: str, seen: Observation) -> str | None:
    """Return what below *folder* cannot be put into a bag, which would be without it, or None."""
    problems = (
        f"{path}: {entry.problem}"
        for path, entry in seen.entries.items()
        if path.startswith(f"{folder}/") and entry.kind is Kind.UNUSABLE
    )
    unlisted = (
        f"{path}: {why}"
        for path, why in seen.unreadable.items()
        if f"{path}/".startswith(f"{folder}/")
    )
    return next(problems, None) or next(unlisted, None)


def bagged(asset: AssetPlan, folder: str, paths: Sequence[str], seen: Observation) -> AssetPlan:
    """Return *asset*, of one file, as that of the whole directory *folder*.

    Args:
        asset: What the first file of the directory became.
        folder: The directory, below the execution directory.
        paths: The files for which the mapping wants it.
        seen: All that is there; every file below goes into the bag, except those that are ignored.
    """
    below = sorted(path for path in seen.entries if path.startswith(f"{folder}/"))
    members = tuple(entry for path in below if (entry := seen.entries[path]).kind is Kind.CONTENT)
    return replace(asset, entry=_stamped(folder, members), also=tuple(paths), members=members)


def _stamped(folder: str, members: Sequence[Entry]) -> Entry:
    """Return an entry for a directory, whose stamp moves whenever that of one of *members* does."""
    state = hashlib.sha256()
    for entry in members:
        state.update(f"{entry.path}\0{entry.stamp}\n".encode(errors="surrogateescape"))
    return Entry(
        path=folder,
        size_bytes=sum(entry.size_bytes for entry in members),
        mtime_ns=max(entry.mtime_ns for entry in members),
        device=members[0].device,
        inode=int.from_bytes(state.digest()[:7]),
    )
