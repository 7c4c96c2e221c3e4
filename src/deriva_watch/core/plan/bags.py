"""Directories that become one asset, a bag: which one a file belongs to, and its content."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from posixpath import normpath

from deriva_watch.core.completeness.observation import Entry, Kind, Observation
from deriva_watch.core.plan.asset_plan import AssetPlan
from deriva_watch.core.spec.spec import Match


def bag_of(match: Match, root: str, path: str) -> str | None:
    """Return the directory below *root* that becomes the bag of the file *path*.

    The group archive_path names it; else it is the directory of the file. None: it would be all of
    *root*, or outside of it.
    """
    parent = f"{root}/{path}".rpartition("/")[0]
    given = normpath(match.groups.get("archive_path", parent))
    return given.removeprefix(f"{root}/") if given.startswith(f"{root}/") else None


def spoilt(folder: str, seen: Observation) -> str | None:
    """Return why a bag of *folder* would be incomplete, or None."""
    problems = (
        f"{path}: {entry.problem}"
        for path, entry in seen.entries.items()
        if path.startswith(f"{folder}/") and entry.kind is Kind.UNUSABLE
    )
    unlisted = (
        f"{path}: {why}"
        for path, why in seen.unlisted.items()
        if f"{path}/".startswith(f"{folder}/")
    )
    return next(problems, None) or next(unlisted, None)


def bagged(asset: AssetPlan, folder: str, paths: Sequence[str], seen: Observation) -> AssetPlan:
    """Return the asset of the whole directory *folder*.

    Args:
        asset: The asset of the first file of the directory.
        folder: The directory, below the execution directory.
        paths: The files that match the mapping.
        seen: All files; those below *folder* go into the bag unless they are ignored.
    """
    below = sorted(path for path in seen.entries if path.startswith(f"{folder}/"))
    members = tuple(entry for path in below if (entry := seen.entries[path]).kind is Kind.CONTENT)
    return replace(asset, entry=_stamped(folder, members), also=tuple(paths), members=members)


def _stamped(folder: str, members: Sequence[Entry]) -> Entry:
    """Return an entry for a directory; its stamp changes whenever that of a member does."""
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
