"""A scan in progress: takes names, follows links, and notes what is not taken, with the reason."""
# ruff: noqa: PTH118, PTH115, PTH112
# A Path object for every name would double the time of a scan.

import os
import stat
from pathlib import Path
from typing import NamedTuple

from deriva_watch.core.completeness.observation import (
    ALIAS,
    ASIDE_NAME,
    OWN_PREFIX,
    RESERVED,
    DirectoryStamp,
    Entry,
    Kind,
    is_own,
)
from deriva_watch.core.ignore_rules import IGNORE_FILE
from deriva_watch.core.os_errors import raise_if_passing, reason
from deriva_watch.core.trust import objection
from deriva_watch.edges.disk import open_folders
from deriva_watch.edges.disk.open_folders import open_real
from deriva_watch.edges.disk.scanning.ignore_file import Ignores
from deriva_watch.edges.disk.scanning.inodes import Inodes
from deriva_watch.edges.disk.scanning.links import Links, below, link_owner, resolved, stranger
from deriva_watch.liveness import beat


class Directory(NamedTuple):
    """A directory to list."""

    path: str  # its path without links
    shown: str  # the start of the paths of its entries: "" or "a/b/"
    link_owner: int | None  # of the last link on the path, if any
    ignored: str | None = None  # why


class Look:
    """A scan in progress."""

    def __init__(
        self,
        base: str,
        links: Links,
        ignores: Ignores,
        trusted: frozenset[int] | None,
        inodes: Inodes,
    ) -> None:
        """Start a scan of *base*, a path without links."""
        self.entries: dict[str, Entry] = {}
        self.unreadable: dict[str, str] = {}
        self.directories: dict[str, DirectoryStamp] = {}
        self.owner = ignores.owner
        self.owners: dict[str, int] = {}
        self.disbelieved: dict[str, str] = {}
        self.base = base
        self._links = links
        self._ignores = ignores
        self._trusted = trusted
        self._inodes = inodes
        self._skipped: dict[str, str] = {}
        self._folders: dict[
            str, tuple[str, int | None]
        ] = {}  # like above, with the owner of the last link
        self._parents: dict[str, str] = {}  # from paths in links to paths without links
        self._listed: set[tuple[int, int]] = set()
        self._linked: list[Directory] = []  # linked directories, scanned later

    def skipped(self) -> dict[str, str]:
        """Return why entries were left out, and why ignore files do not count, by path."""
        return self._skipped | self._ignores.notices

    def walk(self, top: Directory) -> None:
        """List *top* and every directory below it."""
        stack = [top]
        while stack:
            place = stack.pop()
            shown = place.shown.rstrip("/") or "."
            try:
                self._list(place, shown, stack)
            except (FileNotFoundError, NotADirectoryError):
                if not place.shown and os.path.isdir(place.path):
                    self.unreadable["."] = "it was replaced while it was listed"
                continue  # it has vanished
            except OSError as error:
                raise_if_passing(f"cannot read {place.path}", error)
                if place.ignored:
                    self._skipped[shown] = f"{place.ignored}, and cannot be listed"
                else:
                    self.unreadable[shown] = reason(error)

    def follow_links(self) -> None:
        """List linked directories after all others, so that the real path of a directory wins."""
        while self._linked:
            self._linked.sort(key=lambda place: place.shown, reverse=True)
            self.walk(self._linked.pop())

    def _list(self, place: Directory, shown: str, stack: list[Directory]) -> None:
        """List one directory through a descriptor: its path may be a link by now."""
        folder = open_real(place.path)
        try:
            if why := self._objection_to_listing(place, os.fstat(folder)):
                self.unreadable[shown] = why
                return
            with os.scandir(folder) as names:
                for name in names:
                    beat()
                    self._take(name, place, stack)
        finally:
            os.close(folder)

    def _objection_to_listing(self, place: Directory, found: os.stat_result) -> str | None:
        # The stamp is that of before the listing, so that a later change is noticed.
        number = self._inodes.number(found, place.path)
        self.directories[place.path] = found.st_ctime_ns, found.st_dev, number
        if not place.shown:
            self.owner = found.st_uid if place.link_owner is None else place.link_owner
        identity = found.st_dev, number
        is_above = place.link_owner is not None and self._is_above(place)
        if identity in self._listed and not is_above:
            return ALIAS
        if is_above:
            return "this execution already has it under another name"
        self._listed.add(identity)
        return None if place.link_owner is None else self._links.objection(place.path)

    def _is_above(self, place: Directory) -> bool:
        """Return whether a linked directory contains the link: a loop, or more than the unit."""
        folder = os.path.join(self.base, place.shown.rstrip("/").rpartition("/")[0])
        return place.path != self.base and below(os.path.realpath(folder), place.path)

    def _take(self, name: os.DirEntry[str], place: Directory, stack: list[Directory]) -> None:
        shown, path = place.shown + name.name, f"{place.path}/{name.name}"
        if self._is_ours(name.name, path, shown):
            return
        try:
            is_dir, why = name.is_dir(follow_symlinks=False), place.ignored
            if not why and (ignored := self._ignores.by_itself(shown, is_dir=is_dir)):
                if ignored.is_system:
                    self._skipped[shown] = ignored.why
                    return
                why = ignored.why
            if is_dir:
                if name.name == ASIDE_NAME:  # files there are put back or removed
                    return
                stack.append(Directory(path, f"{shown}/", place.link_owner, why))
            elif why:
                self._add(shown, path, name.stat(follow_symlinks=False), Kind.IGNORED, why)
            elif name.is_symlink():
                self.take_link(path, name.stat(follow_symlinks=False), shown)
            else:
                self.take_file(path, name.stat(follow_symlinks=False), shown, place.link_owner)
        except FileNotFoundError:
            return  # it has vanished

    def _is_ours(self, name: str, path: str, shown: str) -> bool:
        """Return whether a name is ours or reserved for us; note what would stay unsaid."""
        if name == ASIDE_NAME and (why := open_folders.left_aside(path)):
            self._skipped[shown] = why
        is_top = name == shown
        is_reserved = is_top and name.startswith(OWN_PREFIX) and not is_own(name)
        if is_reserved:
            self._skipped[shown] = RESERVED
        return is_reserved or name == IGNORE_FILE or (is_top and is_own(name))

    def take_file(
        self, path: str, found: os.stat_result, shown: str, link_owner: int | None
    ) -> None:
        """Note an entry that is neither a directory nor a link."""
        why = self._links.objection_to_file(path, found, link_owner)
        self._add(shown, path, found, problem=why)
        self._note_owner(shown, found.st_uid if link_owner is None else link_owner)

    def take_path(self, path: str) -> None:
        """Note the file at *path*, below the base, if it exists."""
        folder, _, last = path.rpartition("/")
        try:
            if folder not in self._folders:
                real = resolved(os.path.join(self.base, folder))
                owner = link_owner(Path(self.base), folder) if folder else None
                self._folders[folder] = real, owner
            real, owner = self._folders[folder]
            name = os.path.join(real, last)
            found = os.lstat(name)
            if ignored := self._ignores.on_way(path):
                self._add(path, name, found, Kind.IGNORED, ignored.why)
            elif stat.S_ISLNK(found.st_mode):
                self.take_link(name, found, path)
            elif not stat.S_ISDIR(found.st_mode):
                self.take_file(name, found, path, owner)
        except (FileNotFoundError, NotADirectoryError):
            return  # it is gone
        except OSError as error:
            raise_if_passing(f"cannot read {path}", error)
            self.unreadable[folder or "."] = reason(error)

    def take_link(self, path: str, link: os.stat_result, shown: str) -> None:
        """Note a link: the file it leads to, or why it is not followed."""
        if self._trusted is not None and (why := objection(link.st_uid, self.owner, self._trusted)):
            self._add(shown, path, link, Kind.IGNORED, f"it is a link, and {why}")
            self.disbelieved[shown] = why
            return
        try:
            target, found = self._resolve(path)
        except OSError as error:
            raise_if_passing(f"cannot read {path}", error)
            broken = f"it is a link that cannot be followed: {reason(error)}"
            self._add(shown, path, link, problem=broken)
            return
        if stat.S_ISDIR(found.st_mode):
            why = self._links.objection(target) or stranger(found, link.st_uid)
            if not why:
                self._linked.append(Directory(target, f"{shown}/", link.st_uid))
                return
        else:
            why = self._links.objection_to_file(target, found, link.st_uid)
        if why:
            self._add(shown, path, link, problem=why)
        else:
            self._add(shown, target, found)
            self._note_owner(shown, link.st_uid)

    def _note_owner(self, shown: str, owner: int) -> None:
        if owner != self.owner:
            self.owners[shown] = owner

    def _resolve(self, path: str) -> tuple[str, os.stat_result]:
        """Resolve links like os.path.realpath, but check each folder only once for all links."""
        text = os.readlink(path)
        if not text.startswith("/"):
            text = f"{path.rpartition('/')[0]}/{text}"
        folder, _, name = text.rpartition("/")
        if folder not in self._parents:
            self._parents[folder] = resolved(folder or "/").rstrip("/")
        target = f"{self._parents[folder]}/{name}"
        found = os.lstat(target)
        if name in {"", ".", ".."} or stat.S_ISLNK(found.st_mode):
            target = resolved(path)
            found = os.lstat(target)
        return target, found

    def _add(
        self,
        shown: str,
        path: str,
        found: os.stat_result,
        kind: Kind = Kind.CONTENT,
        problem: str | None = None,
    ) -> None:
        """Note a name; *path* has no links: it differs from the name where a link leads to it."""
        target = None if path == f"{self.base}/{shown}" else path
        self.entries[shown] = Entry(
            shown,
            found.st_size,
            found.st_mtime_ns,
            found.st_dev,
            self._inodes.number(found, path),
            link=target is not None or stat.S_ISLNK(found.st_mode),
            target=target if problem is None else None,
            kind=Kind.UNUSABLE if problem and kind is Kind.CONTENT else kind,
            problem=problem,
            ctime_ns=found.st_ctime_ns,
        )
