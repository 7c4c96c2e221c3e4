"""Lists a folder that holds units: execution directories, or directories of a drop folder.

No name is passed over in silence: what is no unit has a reason, on purpose or not.
"""
# ruff: noqa: PTH119, PTH120
# A Path object for every name would double the time of a listing.

import os
import time
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deriva_watch.core.completeness.observation import OWN_PREFIX, RESERVED, is_own
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.ignore_rules import IGNORE_FILE, Ignored, Rule
from deriva_watch.core.layout import RID, ROOT
from deriva_watch.edges.disk.open_folders import open_real
from deriva_watch.edges.disk.scanning.ignore_file import LONGEST_S, read_ignore_file
from deriva_watch.edges.disk.scanning.links import Links, resolved
from deriva_watch.liveness import beat

_Name = os.DirEntry[str] | Path


@dataclass(frozen=True, slots=True)
class Listing:
    """The names in a folder that holds units.

    Attributes:
        directories: The directories, which may be units, and links to directories (`scan` checks
            whether they may be followed).
        beside: Every other name, with the reason why nothing of it is uploaded.
        ignored: The names that are left out on purpose, with the reason.
    """

    directories: set[str] = field(default_factory=set)
    beside: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)


def listed(
    folder: Path, links: Links, ignore: tuple[str, ...], trusted: Collection[int] = ()
) -> Listing:
    """List a folder; nothing if there is no such folder.

    The ignore file counts for names of its owner; that of root or of a *trusted* user for all.

    Raises:
        RefusedError: The folder is a link that leads where *links* must not.
        OSError: The folder exists but cannot be listed.
    """
    try:
        place = resolved(str(folder))
        if why := links.objection(place):
            then = (
                "Replace the link with a folder, or add its target to [files] allowed_link_roots."
            )
            raise RefusedError(f"cannot look into {folder}", why, then)
        descriptor = open_real(place)
    except (FileNotFoundError, NotADirectoryError):
        return Listing()
    try:
        return _list(descriptor, _Ignores(folder, ignore, trusted))
    finally:
        os.close(descriptor)


def is_ignored(path: Path, ignore: tuple[str, ...], trusted: Collection[int] = ()) -> bool:
    """Return whether a name is no unit: it is ignored, or a link to another name in its folder."""
    return _Ignores(path.parent, ignore, trusted).reason(path) is not None


def _list(opened: int, ignores: "_Ignores") -> Listing:
    found = Listing()
    with os.scandir(opened) as names:
        for name in names:
            beat()
            if is_own(name.name):
                continue
            with suppress(FileNotFoundError):  # it has vanished
                if why := ignores.reason(name):
                    found.ignored[name.name] = why
                elif why := _objection(name):
                    found.beside[name.name] = why
                else:
                    found.directories.add(name.name)
    found.beside.update(ignores.unread)
    found.ignored.update(ignores.notices)
    return found


def _objection(name: os.DirEntry[str]) -> str | None:
    """Return why a name is no directory that may be a unit, or None."""
    if name.name.startswith(OWN_PREFIX):
        return RESERVED
    if not name.is_symlink():
        return None if name.is_dir() else "it is not a directory"
    try:
        return None if name.is_dir() else _end_of(name)
    except OSError as error:  # one link must not keep the other names from being listed
        return f"it is a link that cannot be followed: {error.strerror}"


def _end_of(link: os.DirEntry[str]) -> str:
    try:
        link.stat()
    except FileNotFoundError:
        return "it is a link to something that does not exist"
    return "it is a link to something that is not a directory"


def _is_dir(name: _Name) -> bool:
    try:
        return name.is_dir()
    except OSError:  # `_objection` says why
        return False


class _Ignores:
    """Why names in a folder of units are ignored.

    Attributes:
        unread: Why the ignore file of the folder could not be read.
        notices: Why it, or a line of it, does not count.
    """

    def __init__(self, folder: Path, ignore: tuple[str, ...], trusted: Collection[int]) -> None:
        self.unread: dict[str, str] = {}
        self.notices: dict[str, str] = {}
        self._folder, self._real = folder, os.path.realpath(folder)
        self._general = Rule(ignore, "[files] ignore")
        self._has_file = os.path.lexists(folder / IGNORE_FILE)
        self._trusted = trusted
        self._by_owner: dict[int, Rule] = {}
        self._spent_s: dict[int, float] = defaultdict(float)

    def reason(self, name: _Name) -> str | None:
        """Return why a name is ignored, or None."""
        is_dir = _is_dir(name)
        by_name = self._general.ignored(name.name, is_dir=is_dir)
        if not by_name and self._has_file:
            by_name = self._by_file(name, is_dir=is_dir)
        return by_name.why if by_name else self._alias(name)

    def _by_file(self, name: _Name, *, is_dir: bool) -> Ignored | None:
        """Return why the ignore file ignores a name, or None."""
        owner = (self._folder / name.name).lstat().st_uid
        began_s = time.thread_time()
        found = self._rule_of(owner).ignored(name.name, is_dir=is_dir)
        self._spent_s[owner] += time.thread_time() - began_s
        if self._spent_s[owner] > LONGEST_S:
            self._by_owner[owner] = Rule((), IGNORE_FILE)
            self.notices[IGNORE_FILE] = (
                f"it does not count for all names: they take longer than {LONGEST_S:.0f} s"
            )
        return found

    def _rule_of(self, owner: int) -> Rule:
        """Return the patterns of the ignore file for names of its owner."""
        if owner not in self._by_owner:
            patterns: tuple[str, ...] = ()
            why = None
            try:
                patterns, why = read_ignore_file(str(self._folder), owner, self._trusted)
            except OSError as error:
                self.unread[IGNORE_FILE] = f"it cannot be read: {error.strerror}"
            if why:
                self.notices[IGNORE_FILE] = why
            self._by_owner[owner] = Rule(patterns, IGNORE_FILE)
        return self._by_owner[owner]

    def _alias(self, name: _Name) -> str | None:
        """Return why a link to another name in the folder, such as `latest-run`, is no unit."""
        if self._folder.parts[-2:] == (ROOT, "execution") and RID.fullmatch(name.name):
            return None
        if not name.is_symlink():
            return None
        try:
            place = resolved(str(self._folder / name.name))
        except OSError:  # `_objection` says why
            return None
        if os.path.dirname(place) != self._real:
            return None
        return f"it is a link to {os.path.basename(place)}, which is beside it"
