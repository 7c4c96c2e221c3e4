"""Which names are ignored: the patterns of `[files] ignore` and of ignore files.

A pattern without "/" matches a name, of a file or of a folder. One with "/" matches a path: below
the execution directory or the drop folder, or below the folder of the ignore file. "*" stops at
"/", "**" stands for any folders, and a "/" at the end means folders only.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import Final, NamedTuple

from deriva_watch.core.known_names import KNOWN, NameKind

IGNORE_FILE: Final = ".deriva-watch-ignore"
"""Name of a file whose lines are patterns for the folder that it is in, and for all below it."""

IGNORE_FILE_BYTES: Final = 64 * 1024
_PATTERNS: Final = 1000


class Ignored(NamedTuple):
    """Why a name is ignored.

    Attributes:
        why: The reason, as a sentence about "it".
        is_system: It is a folder of a file server or an operating system; do not enter it.
    """

    why: str
    is_system: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Patterns, and where their paths begin.

    Attributes:
        patterns: The patterns.
        source: Where they are from, for a sentence.
        lead: What precedes a path below the unit's folder to make it a path of this rule.
        skip: How much of the beginning of a path is above the folder of this rule.
    """

    patterns: tuple[str, ...]
    source: str
    lead: str = ""
    skip: int = 0
    _may_fit: Callable[[str], object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile a quick test of names; most names match no pattern."""
        object.__setattr__(self, "_may_fit", _compiled(self.patterns))

    def ignored(self, path: str, *, is_dir: bool) -> Ignored | None:
        """Return why the rule ignores *path*, below the unit's folder, by itself; or None."""
        below = self.lead + path[self.skip :]
        name = below.rpartition("/")[2]
        if self._may_fit(name):
            for pattern in self.patterns:
                if _fits(pattern, below, name, is_dir=is_dir):
                    return _reason(pattern, self.source, is_dir=is_dir)
        return None


def ignored(rules: Iterable[Rule], path: str, *, is_dir: bool) -> Ignored | None:
    """Return why one of *rules* ignores *path*, below the unit's folder, by itself; or None."""
    return next(filter(None, (rule.ignored(path, is_dir=is_dir) for rule in rules)), None)


def ignored_on_way(rules: Iterable[Rule], path: str, *, is_dir: bool = False) -> Ignored | None:
    """Return why one of *rules* ignores *path*, or a folder on the way to it; or None."""
    rules, end = tuple(rules), path.find("/")
    while end != -1:
        if found := ignored(rules, path[:end], is_dir=True):
            return found
        end = path.find("/", end + 1)
    return ignored(rules, path, is_dir=is_dir)


def read_patterns(text: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the patterns of an ignore file, and what is wrong with its lines.

    Blank lines and lines that begin with "#" are skipped; a backslash before "#" makes it a name.
    """
    found: list[str] = []
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        if pattern.startswith("!"):
            wrong.append(f'line {number}: a pattern cannot begin with "!"')
        elif len(found) == _PATTERNS:
            wrong.append(f"line {number}: only {_PATTERNS} patterns are read")
            break
        else:
            found.append(pattern.removeprefix("\\"))
    return tuple(found), wrong


@lru_cache(maxsize=256)  # ignore files are other people's
def _compiled(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return a predicate that is true for names that one of *patterns* may match."""
    if not patterns:
        return lambda _name: False
    last = (each.rstrip("/").rpartition("/")[2] for each in patterns)
    return re.compile("|".join(translate("*" if each == "**" else each) for each in last)).match


def _fits(pattern: str, path: str, name: str, *, is_dir: bool) -> bool:
    if "/" not in pattern:
        return fnmatchcase(name, pattern)
    if pattern.endswith("/") and not is_dir:
        return False
    wanted = pattern.rstrip("/")
    if "/" not in wanted:
        return fnmatchcase(name, wanted)
    return _follows(path.split("/"), wanted.lstrip("/").split("/"))


def _follows(parts: list[str], wanted: list[str]) -> bool:
    """Match a path by its names; the time is linear, whatever the pattern is."""

    def with_skips(states: Iterable[int]) -> set[int]:
        """Add the states after each "**", which may stand for no folder."""
        found = set(states)
        for state, name in enumerate(wanted):
            if state in found and name == "**":
                found.add(state + 1)
        return found

    states = with_skips({0})
    for part in parts:
        states = with_skips(
            state if wanted[state] == "**" else state + 1
            for state in states
            if state < len(wanted) and (wanted[state] == "**" or fnmatchcase(part, wanted[state]))
        )
    return len(wanted) in states


def _reason(pattern: str, source: str, *, is_dir: bool) -> Ignored:
    known = KNOWN.get(pattern)
    if known is None:
        return Ignored(f"it matches {pattern!r} of {source}")
    if known.kind is NameKind.SYSTEM:
        return Ignored(f"it is a system folder or file of {known.made_by}", is_system=is_dir)
    what = "a transfer in progress" if known.kind is NameKind.PARTIAL else "no data"
    return Ignored(f"its name says that it is {what} ({known.made_by}: {pattern})")
