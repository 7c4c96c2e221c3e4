"""List folders: which execution directories there are, which units, which prefixes."""
# ruff: noqa: PTH207
# A pattern may be absolute, which Path.glob refuses.

import glob
import os
import re
from collections.abc import Callable
from fnmatch import translate
from functools import cache
from pathlib import Path

from deriva_watch.core.completeness.observation import OWN_PREFIX


def execution_directories(prefix: Path) -> dict[str, Path]:
    """Return the execution directories below *prefix* by RID; none where there is no such folder.

    A link to a directory counts; `scan` says whether it may be followed. What is our own does not.

    Raises:
        OSError: The folder is there but cannot be listed.
    """
    try:
        with os.scandir(prefix / "deriva-ml" / "execution") as names:
            return {
                name.name: Path(name.path)
                for name in names
                if name.is_dir() and not name.name.startswith(OWN_PREFIX)
            }
    except (FileNotFoundError, NotADirectoryError):
        return {}


def listed(folder: Path, ignore: tuple[str, ...]) -> tuple[set[str], list[str]]:
    """Return the names of the directories of a folder, and of what else lies in it.

    What matches *ignore*, and what is our own, is in neither; none where there is no folder.

    Raises OSError where it may not be listed.
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
    """Tell whether a prefix stands for many: "/home/*/work"."""
    return glob.has_magic(str(prefix))


def matching(pattern: Path) -> list[Path]:
    """Return the folders that *pattern* matches now; what may not be listed matches nothing."""
    return sorted(path for name in glob.iglob(str(pattern)) if (path := Path(name)).is_dir())


@cache
def matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return what tells whether a name matches one of *patterns*."""
    if not patterns:
        return lambda _name: None
    return re.compile("|".join(map(translate, patterns))).match
