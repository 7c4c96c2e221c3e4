"""Reads ignore files: one in a folder says what of it, and of all below it, is not data.

Nobody but those whose statements count for the unit (`core.trust`) can hide its files.
"""
# ruff: noqa: PTH118
# A Path object for every name would double the time of a scan.

import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from deriva_watch.core.errors import TransientError
from deriva_watch.core.ignore_rules import (
    IGNORE_FILE,
    IGNORE_FILE_BYTES,
    Ignored,
    Rule,
    ignored,
    ignored_on_way,
    read_patterns,
)
from deriva_watch.core.trust import objection

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


LONGEST_S: Final = 10.0
"""How long the patterns of ignore files may take in one look, in computing time of its thread."""


class SlowIgnoresError(TransientError):
    """The ignore files of a unit take too long, so nobody knows what they ignore."""

    @classmethod
    def of(cls, folder: str) -> "SlowIgnoresError":
        """Return the error for the ignore files in and below *folder*."""
        why = f"its ignore files take longer than {LONGEST_S:.0f} s; make their patterns simpler"
        return cls(f"cannot tell what is ignored in {folder}", why)


@dataclass(slots=True)
class Ignores:
    """What is ignored in a unit, by the settings and by ignore files.

    Attributes:
        base: The unit's folder, without links.
        owner: User ID of the owner of the unit.
        patterns: Those of the settings; None: nothing is ignored.
        lead: What precedes a path below *base* in patterns of the settings.
        has_outer: Whether an ignore file beside the unit's folder counts too.
        trusted: Users whose ignore files count for everybody's units.
        notices: Why an ignore file, or a line of it, does not count, by its path.
    """

    base: str
    owner: int
    patterns: tuple[str, ...] | None
    lead: str = ""
    has_outer: bool = False
    trusted: frozenset[int] = frozenset()
    notices: dict[str, str] = field(default_factory=dict)
    _rules: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    _has_files: bool = False
    _spent_s: float = 0.0

    def by_itself(self, path: str, *, is_dir: bool) -> Ignored | None:
        """Return why the name at *path* is ignored, if no folder on the way to it is; or None."""
        rules = self._in(path.rpartition("/")[0])
        if not self._has_files:
            return ignored(rules, path, is_dir=is_dir)
        with self._timed():
            return ignored(rules, path, is_dir=is_dir)

    def on_way(self, path: str) -> Ignored | None:
        """Return why the file at *path*, or a folder on the way to it, is ignored; or None."""
        rules = self._in(path.rpartition("/")[0])
        with self._timed():
            return ignored_on_way(rules, path)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began_s = time.thread_time()
        yield
        self._spent_s += time.thread_time() - began_s
        if self._spent_s > LONGEST_S:
            raise SlowIgnoresError.of(self.base)

    def _in(self, folder: str) -> tuple[Rule, ...]:
        """Return the rules for the names in *folder*, "" for the unit's own."""
        if self.patterns is None:
            return ()
        todo, at = [], folder
        while at not in self._rules:
            todo.append(at)
            at = at.rpartition("/")[0]
            if not todo[-1]:
                break
        for each in reversed(todo):  # from the outermost; a path may have thousands of folders
            above = self._rules[each.rpartition("/")[0]] if each else self._top()
            skip = len(each) + 1 if each else 0
            found = self._read(os.path.join(self.base, each), each, skip=skip)
            self._rules[each] = above + found
        return self._rules[folder]

    def _top(self) -> tuple[Rule, ...]:
        rule = Rule(self.patterns or (), "[files] ignore", self.lead)
        if not self.has_outer:
            return (rule,)
        outer, name = os.path.split(self.base)
        return (rule, *self._read(outer, "..", lead=f"{name}/"))

    def _read(self, folder: str, shown: str, *, lead: str = "", skip: int = 0) -> tuple[Rule, ...]:
        path = f"{shown}/{IGNORE_FILE}".lstrip("/")
        try:
            patterns, why = read_ignore_file(folder, self.owner, self.trusted)
        except OSError as error:
            patterns, why = (), f"it cannot be read: {error.strerror}"
        if why:
            self.notices[path] = why
        if not patterns:
            return ()
        self._has_files = True
        with self._timed():
            return (Rule(patterns, path, lead, skip),)


def read_ignore_file(
    folder: str, owner: int, trusted: Collection[int] = ()
) -> tuple[tuple[str, ...], str | None]:
    """Return the patterns of the ignore file in *folder*, and why some or all do not count.

    No patterns if there is no such file. Raises OSError if it cannot be read.
    """
    try:
        descriptor = os.open(os.path.join(folder, IGNORE_FILE), _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return (), None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return (), "it is not a regular file, so it does not count"
        if why := objection(found.st_uid, owner, trusted):
            return (), why
        if found.st_size > IGNORE_FILE_BYTES:
            return (), f"it is larger than {IGNORE_FILE_BYTES} bytes, so it does not count"
        text = file.read(IGNORE_FILE_BYTES).decode(errors="surrogateescape")
    patterns, wrong = read_patterns(text)
    return patterns, "; ".join(wrong) or None
