"""Finds the folders that match a pattern of prefixes, such as "/home/*/work"."""

import glob
import os
import stat
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from deriva_watch.core.errors import RefusedError, TroubleError
from deriva_watch.core.ignore_rules import Rule
from deriva_watch.core.prose import counted
from deriva_watch.edges.disk.scanning.links import entered
from deriva_watch.liveness import beat


@dataclass(frozen=True, slots=True)
class Matches:
    """The folders that match a pattern now.

    Attributes:
        folders: The folders, sorted.
        unknown: Where others may be that cannot be looked at, or may not be used; with the reason.
        ignored: Names that a wildcard would match but that are left out on purpose, likewise.
    """

    folders: list[Path] = field(default_factory=list)
    unknown: dict[Path, str] = field(default_factory=dict)
    ignored: dict[Path, str] = field(default_factory=dict)

    def trouble(self, pattern: Path) -> TroubleError | None:
        """Return the error that names what is unknown, or None."""
        if not self.unknown:
            return None
        path, why = min(self.unknown.items())
        return TroubleError(
            f"cannot look into {counted(len(self.unknown), 'folder')} that {pattern} may match",
            f"{path}: {why}",
            "Let the user of deriva-watch enter it, name what a link leads to in a [[watch]] of "
            "its own, or add the name that the wildcard matches to [files] ignore. "
            "`deriva-watch check -v` lists all.",
        )


def is_pattern(prefix: Path) -> bool:
    """Return whether a prefix is a pattern."""
    return glob.has_magic(str(prefix))


def matching(pattern: Path, ignore: tuple[str, ...]) -> Matches:
    """Return the folders that match *pattern* now; a wildcard finds no name that *ignore* has."""
    found = Matches()
    named = named_part(pattern)
    _match(named, pattern.parts[len(named.parts) :], found, Rule(ignore, "[files] ignore"))
    _drop_second_names(found)
    return found


def named_part(pattern: Path) -> Path:
    """Return the part of *pattern* above its first wildcard, or all of it."""
    above = [each for each in (pattern, *pattern.parents) if not is_pattern(each)]
    return above[0]


def _match(folder: Path, parts: tuple[str, ...], found: Matches, rule: Rule) -> None:
    """Add the folders that match *parts* below *folder*, which exists, to *found*."""
    if not parts:
        found.folders.append(folder)
        return
    is_wild = glob.has_magic(parts[0])
    for name in _names(folder, parts[0], found) if is_wild else [parts[0]]:
        beat()
        path = folder / name
        if is_wild and (known := rule.ignored(name, is_dir=True)):
            found.ignored[path] = known.why
        elif _is_folder(path, found):
            _match(path, parts[1:], found, rule)


def _drop_second_names(found: Matches) -> None:
    """Keep one name of each folder, so that nothing is watched twice."""
    places: dict[Path, Path] = {}
    for path in sorted(found.folders, key=lambda each: (each != each.resolve(), each)):
        if (first := places.setdefault(path.resolve(), path)) != path:
            found.ignored[path] = f"it is another name of {first}"
    found.folders[:] = sorted(places.values())


def _names(folder: Path, wild: str, found: Matches) -> list[str]:
    """Return the names in *folder* that match, by the rules of glob."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  # only the names are of interest
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        found.unknown[folder] = f"it cannot be listed: {error.strerror}"
        return []
    hidden = wild.startswith(".")
    return [n for n in names if fnmatchcase(n, wild) and (hidden or not n.startswith("."))]


def _is_folder(path: Path, found: Matches) -> bool:
    """Return whether *path* is a folder that may be entered; note why that is not known."""
    try:
        return stat.S_ISDIR(os.stat(entered(str(path))).st_mode)  # noqa: PTH116  # a text
    except RefusedError as error:
        found.unknown[path] = error.why
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            found.unknown[path] = "it is a link to something that does not exist"
    except OSError as error:
        where = path.parent if error.filename == str(path) else path
        found.unknown[where] = f"it cannot be looked into: {error.strerror}"
    return False
