"""Lists folders: execution directories, units of drop folders, prefixes of a pattern."""
# ruff: noqa: PTH207
# A pattern may be absolute, which Path.glob does not support.

import glob
import os
import re
from collections.abc import Callable
from fnmatch import translate
from functools import cache
from pathlib import Path

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.layout import ROOT
from deriva_watch.edges.disk.links import Links
from deriva_watch.edges.disk.open_folders import open_real


def execution_directories(prefix: Path, allowed: tuple[Path, ...] = ()) -> dict[str, Path]:
    """Return the execution directories below *prefix* by RID; empty if there is no such folder.

    Includes links to directories (`scan` checks whether they may be followed), but not our own
    directories.

    Raises:
        RefusedError: The folder is a link that leads out of the prefix, and not into *allowed*.
        OSError: The folder exists but cannot be listed.
    """
    folder = prefix / ROOT / "execution"
    try:
        place = os.path.realpath(folder, strict=True)
        if why := Links.within((prefix, *allowed), None).objection(place):
            then = (
                "Replace the link with a folder, or add its target to [files] allowed_link_roots."
            )
            raise RefusedError(f"cannot look for executions in {folder}", why, then)
        descriptor = open_real(place)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        with os.scandir(descriptor) as names:
            return {
                name.name: folder / name.name
                for name in names
                if name.is_dir() and not name.name.startswith(OWN_PREFIX)
            }
    finally:
        os.close(descriptor)


def listed(folder: Path, ignore: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """Return the names of the directories in a folder, and of everything else in it.

    Without our own names and those that match *ignore*; empty if there is no folder.

    Raises OSError if it may not be listed.
    """
    ignores, directories, others = matcher(ignore), set[str](), list[str]()
    try:
        with os.scandir(folder) as names:
            for name in names:
                if ignores(name.name) or name.name.startswith(OWN_PREFIX):
                    continue
                if name.is_dir():
                    directories.add(name.name)
                else:
                    others.append(name.name)
    except (FileNotFoundError, NotADirectoryError):
        return set(), []
    return directories, sorted(others)


def is_pattern(prefix: Path) -> bool:
    """Return whether a prefix is a pattern, such as "/home/*/work"."""
    return glob.has_magic(str(prefix))


def matching(pattern: Path) -> list[Path]:
    """Return the folders that match *pattern* now, ignoring folders that may not be listed."""
    return sorted(path for name in glob.iglob(str(pattern)) if (path := Path(name)).is_dir())


@cache
def matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return a predicate that is true for names that match one of *patterns*."""
    if not patterns:
        return lambda _name: None
    return re.compile("|".join(map(translate, patterns))).match
