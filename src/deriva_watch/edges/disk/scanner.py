"""Scans execution directories for their present files. Only reads, creates nothing.

A scan decides which files may be opened. `open_content` repeats the checks on the open descriptor,
because anybody who may write below the prefix can replace any part of a path between the scan and
the opening.
"""
# ruff: noqa: PTH118,PTH116,PTH115,PTH112
# A Path object for every name would double the time of a scan.

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from deriva_watch.core.completeness.observation import (
    ALIAS,
    ASIDE_NAME,
    OWN_PREFIX,
    RESERVED,
    DirectoryStamp,
    Entry,
    Kind,
    Observation,
    is_own,
)
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.ignore_rules import IGNORE_FILE
from deriva_watch.core.os_errors import passing
from deriva_watch.core.trust import objection
from deriva_watch.edges.disk import open_folders
from deriva_watch.edges.disk.ignore_file import Ignores, SlowIgnoresError
from deriva_watch.edges.disk.inodes import Inodes, is_number, is_stamp
from deriva_watch.edges.disk.links import (
    Links,
    below,
    link_owner,
    real_path,
    resolved,
    stranger,
    unreadable,
)
from deriva_watch.edges.disk.open_folders import open_real
from deriva_watch.liveness import beat

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """What a scan ignores, and which links it follows.

    Attributes:
        prefix: The folder that holds `deriva-ml/`; links may lead anywhere below it.
        ignore: Patterns (`core.ignore_rules`); everything below a matching directory is ignored.
            None: nothing is, whatever ignore files say.
        lead: What precedes a path below the folder in patterns with "/": "" or "run1/".
        has_outer: The folder above may have an ignore file: it holds units.
        allowed_link_roots: Further folders that links may lead to.
        state_directory: The directory of the journal; no link may lead there.
        named: The part of *prefix* that the settings name; None: all of it. The rest was found by
            wildcards (`links.real_path`).
        trusted_owners: Users whose statements count for everybody's data. None: everybody's count,
            as in a folder into which many users put their files.
        inodes_stay: Returns whether inode numbers stay on the file system of a path.
    """

    prefix: Path
    ignore: tuple[str, ...] | None = ()
    lead: str = ""
    has_outer: bool = False
    allowed_link_roots: tuple[Path, ...] = ()
    state_directory: Path | None = None
    named: Path | None = None
    trusted_owners: frozenset[int] | None = frozenset()
    inodes_stay: Callable[[str], bool] = lambda _: True

    def links(self) -> Links:
        """Return where links may lead, with the present paths of the folders.

        Raises as `links.real_path` if *named* is given.
        """
        prefix = real_path(self.prefix, self.named) if self.named else os.path.realpath(self.prefix)
        return Links.within(prefix, self.allowed_link_roots, self.state_directory)

    def ignores(self, base: str, link_owner: int | None) -> Ignores:
        """Return the patterns for the folder *base*; *link_owner* if a link leads to it."""
        owner = os.stat(base).st_uid if link_owner is None else link_owner
        trusted = self.trusted_owners or frozenset()
        return Ignores(base, owner, self.ignore, self.lead, self.has_outer, trusted)


def scan(root: Path, policy: ScanPolicy) -> Observation | None:
    """Scan everything below *root*; return None if it is no longer a directory.

    Names that vanish during the scan are left out.

    Raises TransientError if the disk fails or this process may not open more files, which says
    nothing about the directory.
    """
    looked_at = datetime.now(UTC)
    try:
        links = policy.links()
        base, link_owner = links.base(root)
        ignores = policy.ignores(base, link_owner)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except RefusedError as error:
        return Observation(str(root), {}, looked_at, {".": error.why})
    except OSError as error:
        _check_lasting(str(root), error)
        return Observation(str(root), {}, looked_at, {".": _reason(error)})
    look = _Look(base, links, ignores, policy.trusted_owners, Inodes(policy.inodes_stay))
    if link_owner is not None:
        look.directories[str(root)] = _directory_stamp(os.lstat(root))
    try:
        look.walk(_Directory(base, "", link_owner))
        look.follow_links()
    except SlowIgnoresError as error:
        return Observation(str(root), {}, looked_at, {".": error.why})
    if not look.entries and not look.unreadable and not os.path.isdir(base):
        return None
    return Observation(
        str(root),
        look.entries,
        looked_at,
        look.unreadable,
        look.directories,
        look.owner,
        look.skipped(),
        look.owners,
        look.disbelieved,
    )


def same_directories(directories: Mapping[str, DirectoryStamp]) -> bool:
    """Return whether no entry was added, removed or replaced since an `Observation`.

    Does not notice that a file has grown.
    """
    try:
        return all(_is_same(os.lstat(path), path, stamp) for path, stamp in directories.items())
    except OSError:
        return False  # the scan will report what it is


def look_at(root: Path, paths: Iterable[str], policy: ScanPolicy) -> Observation | None:
    """Scan only some files below *root*; return None if none of them exists.

    Raises the same errors as `scan`.
    """
    looked_at = datetime.now(UTC)
    try:
        links = policy.links()
        base, link_owner = links.base(root)
        ignores = policy.ignores(base, link_owner)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except RefusedError as error:
        return Observation(str(root), {}, looked_at, {".": error.why})
    except OSError as error:
        _check_lasting(str(root), error)
        return Observation(str(root), {}, looked_at, {".": _reason(error)})
    look = _Look(base, links, ignores, policy.trusted_owners, Inodes(policy.inodes_stay))
    try:
        for path in paths:
            look.take_path(path)
    except SlowIgnoresError as error:
        return Observation(str(root), {}, looked_at, {".": error.why})
    if not (look.entries or look.unreadable):
        return None
    return Observation(
        str(root),
        look.entries,
        looked_at,
        look.unreadable,
        skipped=look.skipped(),
        disbelieved=look.disbelieved,
    )


def open_content(root: Path, entry: Entry, policy: ScanPolicy) -> BinaryIO:
    """Open the file of *entry*; hash and send it only through this descriptor.

    Any part of the path may have been replaced since the scan, so the path is not trusted: the
    kernel knows which file the descriptor has open (/proc/self/fd). It must be the path of the
    entry, without a link; the policy must allow it; and it must be the file that was scanned.

    Raises:
        FileChangedError: It is not the scanned file, or it has changed or is gone.
        RefusedError: It may not be read.
    """
    try:
        return os.fdopen(_open(root, entry, policy.links()), "rb")
    except PermissionError as error:
        raise unreadable(entry.path, "the user of the daemon may not read it") from error
    except OSError as error:
        _check_lasting(entry.path, error)
        raise FileChangedError(f"{entry.path}: {_reason(error)}") from error


def check_unchanged(root: Path, entry: Entry) -> None:
    """Raise FileChangedError unless the name still means the same, unchanged file."""
    try:
        path = os.path.realpath(os.path.join(root, entry.path))
        found = os.stat(path)
    except OSError as error:
        _check_lasting(entry.path, error)
        raise FileChangedError(f"{entry.path}: {_reason(error)}") from error
    if not is_stamp(entry.stamp, found, path):
        raise FileChangedError(f"{entry.path} changed since it was scanned")


class _Directory(NamedTuple):
    """A directory to list."""

    path: str  # its path without links
    shown: str  # the start of the paths of its entries: "" or "a/b/"
    link_owner: int | None  # of the last link on the path, if any
    ignored: str | None = None  # why


class _Look:
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
        self._linked: list[_Directory] = []  # linked directories, scanned later

    def skipped(self) -> dict[str, str]:
        """Return why entries were left out, and why ignore files do not count, by path."""
        return self._skipped | self._ignores.notices

    def walk(self, top: _Directory) -> None:
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
                _check_lasting(place.path, error)
                if place.ignored:
                    self._skipped[shown] = f"{place.ignored}, and cannot be listed"
                else:
                    self.unreadable[shown] = _reason(error)

    def follow_links(self) -> None:
        """List linked directories after all others, so that the real path of a directory wins."""
        while self._linked:
            self._linked.sort(key=lambda place: place.shown, reverse=True)
            self.walk(self._linked.pop())

    def _list(self, place: _Directory, shown: str, stack: list[_Directory]) -> None:
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

    def _objection_to_listing(self, place: _Directory, found: os.stat_result) -> str | None:
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

    def _is_above(self, place: _Directory) -> bool:
        """Return whether a linked directory contains the link: a loop, or more than the unit."""
        folder = os.path.join(self.base, place.shown.rstrip("/").rpartition("/")[0])
        return place.path != self.base and below(os.path.realpath(folder), place.path)

    def _take(self, name: os.DirEntry[str], place: _Directory, stack: list[_Directory]) -> None:
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
                stack.append(_Directory(path, f"{shown}/", place.link_owner, why))
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
            _check_lasting(path, error)
            self.unreadable[folder or "."] = _reason(error)

    def take_link(self, path: str, link: os.stat_result, shown: str) -> None:
        """Note a link: the file it leads to, or why it is not followed."""
        if self._trusted is not None and (why := objection(link.st_uid, self.owner, self._trusted)):
            self._add(shown, path, link, Kind.IGNORED, f"it is a link, and {why}")
            self.disbelieved[shown] = why
            return
        try:
            target, found = self._resolve(path)
        except OSError as error:
            _check_lasting(path, error)
            broken = f"it is a link that cannot be followed: {_reason(error)}"
            self._add(shown, path, link, problem=broken)
            return
        if stat.S_ISDIR(found.st_mode):
            why = self._links.objection(target) or stranger(found, link.st_uid)
            if not why:
                self._linked.append(_Directory(target, f"{shown}/", link.st_uid))
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


def _open(root: Path, entry: Entry, links: Links) -> int:
    base, _ = links.base(root)
    expected = entry.target or os.path.join(base, entry.path)
    descriptor = os.open(expected, _OPEN_FLAGS)
    try:
        found = os.fstat(descriptor)
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        owner = link_owner(root, entry.path) if entry.link else None
        if place != expected or not is_stamp(entry.stamp, found, expected):
            raise FileChangedError(f"{entry.path} changed since it was scanned")  # noqa: TRY301
        if why := links.objection_to_file(expected, found, owner):
            raise unreadable(entry.path, why)  # noqa: TRY301
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_same(found: os.stat_result, path: str, stamp: DirectoryStamp) -> bool:
    changed_ns, device, number = stamp
    same = (changed_ns, device) == (found.st_ctime_ns, found.st_dev)
    return same and is_number(number, found, path)


def _directory_stamp(found: os.stat_result) -> DirectoryStamp:
    """Return a stamp that changes with every entry; unlike the mtime, no copy can reset it."""
    return found.st_ctime_ns, found.st_dev, found.st_ino


def _check_lasting(path: str, error: OSError) -> None:
    """Raise TransientError if an error may be temporary; it says nothing about the files."""
    if trouble := passing(f"cannot read {path}", error):
        raise trouble from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
