"""Lists folders: execution directories, units of drop folders, prefixes of a pattern."""
# ruff: noqa: PTH120,PTH207
# A pattern may be absolute, which Path.glob does not support.

import glob
import os
from collections.abc import Callable
from pathlib import Path

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.ignore_rules import IGNORE_FILE, Rule
from deriva_watch.core.layout import RID, ROOT
from deriva_watch.edges.disk.ignore_file import read_ignore_file
from deriva_watch.edges.disk.links import Links
from deriva_watch.edges.disk.open_folders import open_real


def execution_directories(
    prefix: Path, allowed: tuple[Path, ...] = (), ignore: tuple[str, ...] = ()
) -> dict[str, Path]:
    """Return the execution directories below *prefix* by RID; empty if there is no such folder.

    Includes links to directories (`scan` checks whether they may be followed), but neither our own
    directories nor those whose names are ignored.

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
        ignores = _ignorer(folder, ignore)
        with os.scandir(descriptor) as names:
            return {
                name.name: folder / name.name
                for name in names
                if name.is_dir() and not name.name.startswith(OWN_PREFIX) and not ignores(name)
            }
    finally:
        os.close(descriptor)


def listed(folder: Path, ignore: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """Return the names of the directories in a folder, and of everything else in it.

    Without our own names and those that match *ignore*; empty if there is no folder.

    Raises OSError if it may not be listed.
    """
    ignores, directories, others = _ignorer(folder, ignore), set[str](), list[str]()
    try:
        with os.scandir(folder) as names:
            for name in names:
                if name.name.startswith(OWN_PREFIX) or ignores(name):
                    continue
                if name.is_dir():
                    directories.add(name.name)
                else:
                    others.append(name.name)
    except (FileNotFoundError, NotADirectoryError):
        return set(), []
    return directories, sorted(others)


def is_ignored(path: Path, ignore: tuple[str, ...]) -> bool:
    """Return whether a name is no unit: it is ignored, or a link to another name in its folder."""
    return _ignorer(path.parent, ignore)(path)


def _ignorer(folder: Path, ignore: tuple[str, ...]) -> Callable[[os.DirEntry[str] | Path], bool]:
    """Return a predicate that is true for the names in *folder* that are ignored."""
    real, is_of_executions = os.path.realpath(folder), folder.parts[-2:] == (ROOT, "execution")
    general, has_file = Rule(ignore, "[files] ignore"), os.path.lexists(folder / IGNORE_FILE)

    def by_file(name: os.DirEntry[str] | Path) -> bool:
        try:
            patterns, _ = read_ignore_file(str(folder), name.stat().st_uid)
        except OSError:
            return False
        return Rule(patterns, IGNORE_FILE).ignored(name.name, is_dir=name.is_dir()) is not None

    def is_alias(name: os.DirEntry[str] | Path) -> bool:
        """Return whether it is a link to another name in the folder, such as `latest-run`."""
        if is_of_executions and RID.fullmatch(name.name):
            return False
        return name.is_symlink() and os.path.dirname(os.path.realpath(folder / name.name)) == real

    def is_ignored(name: os.DirEntry[str] | Path) -> bool:
        known = general.ignored(name.name, is_dir=name.is_dir())
        return known is not None or (has_file and by_file(name)) or is_alias(name)

    return is_ignored


def is_pattern(prefix: Path) -> bool:
    """Return whether a prefix is a pattern, such as "/home/*/work"."""
    return glob.has_magic(str(prefix))


def matching(pattern: Path, ignore: tuple[str, ...]) -> list[Path]:
    """Return the folders that match *pattern* now.

    Leaves out folders that may not be listed, and those that a wildcard only finds by a name that
    is ignored.
    """
    rule = Rule(ignore, "[files] ignore")
    wild = [at for at, part in enumerate(pattern.parts) if glob.has_magic(part)]

    def is_meant(path: Path) -> bool:
        names = [path.parts[at] for at in wild if at < len(path.parts)]
        return not any(rule.ignored(name, is_dir=True) for name in names)

    found = map(Path, glob.iglob(str(pattern)))
    return sorted(path for path in found if is_meant(path) and path.is_dir())
