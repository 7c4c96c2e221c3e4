"""Look at execution directories: what is there now. Reads only, creates nothing.

A look decides which names may ever be opened; `open_content` asks the same questions again of the
descriptor it got, because whoever may write below the prefix can exchange any part of a path
between the look and the opening.
"""
# ruff: noqa: PTH118,PTH116,PTH115,PTH112
# A Path object for every name would double the time of a look.

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from deriva_watch.core.completeness.observation import (
    ASIDE_NAME,
    OWN_PREFIX,
    RECEIPT_NAME,
    ROWS_NAME,
    DirectoryStamp,
    Entry,
    Kind,
    Observation,
)
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.os_errors import passing
from deriva_watch.edges.disk.links import Links, below, link_owner, stranger, unreadable
from deriva_watch.edges.disk.listing import matcher
from deriva_watch.liveness import beat

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OWN: Final = {RECEIPT_NAME, ROWS_NAME}


@dataclass(frozen=True, slots=True)
class ScanPolicy:
    """What a look passes over, and how far it follows links.

    Attributes:
        prefix: The folder that holds `deriva-ml/`; links may lead anywhere below it.
        ignore: Patterns of names (`fnmatch`); below a directory that matches all is ignored.
        allowed_link_roots: Further folders that links may lead to.
        state_directory: Where the journal lives; no link may lead there.
    """

    prefix: Path
    ignore: tuple[str, ...] = ()
    allowed_link_roots: tuple[Path, ...] = ()
    state_directory: Path | None = None

    def links(self) -> Links:
        """Return how far links may lead, as the folders are now."""
        return Links.within((self.prefix, *self.allowed_link_roots), self.state_directory)


def ignores(policy: ScanPolicy) -> Callable[[str], object]:
    """Return what tells whether a look passes over a name, and a person's count does not."""
    return matcher(policy.ignore)


def scan(root: Path, policy: ScanPolicy) -> Observation | None:
    """Look at everything below *root*, or return None where it is no directory any more.

    Names that vanish during the look are not in it.

    Raises TransientError where the disk does not answer, or this process may open nothing more:
    that is no property of the directory.
    """
    looked_at, links = datetime.now(UTC), policy.links()
    try:
        base, link_owner = links.base(root)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except RefusedError as error:
        return Observation(str(root), {}, looked_at, {".": error.why})
    except OSError as error:
        _check_lasting(str(root), error)
        return Observation(str(root), {}, looked_at, {".": _reason(error)})
    look = _Look(base, links, matcher(policy.ignore))
    if link_owner is not None:
        look.directories[str(root)] = _directory_stamp(os.lstat(root))
    look.walk(_Directory(base, "", link_owner))
    look.follow_links()
    if not look.entries and not look.unreadable and not os.path.isdir(base):
        return None
    return Observation(str(root), look.entries, looked_at, look.unreadable, look.directories)


def same_directories(directories: Mapping[str, DirectoryStamp]) -> bool:
    """Tell whether each is what it was in an `Observation`: no name came, went or was replaced.

    That a file grew in its place does not show.
    """
    try:
        return all(_directory_stamp(os.lstat(d)) == stamp for d, stamp in directories.items())
    except OSError:
        return False  # the look will say what there is


def look_at(root: Path, paths: Iterable[str], policy: ScanPolicy) -> Observation | None:
    """Look at some files below *root* as `scan` does; None where none of them is there.

    Raises as `scan` does.
    """
    looked_at, links, ignores = datetime.now(UTC), policy.links(), matcher(policy.ignore)
    try:
        base, _ = links.base(root)
    except OSError as error:
        _check_lasting(str(root), error)
        return None
    except RefusedError as error:
        return Observation(str(root), {}, looked_at, {".": error.why})
    look = _Look(base, links, ignores)
    for path in paths:
        look.take_path(path)
    if not (look.entries or look.unreadable):
        return None
    return Observation(str(root), look.entries, looked_at, look.unreadable)


def open_content(root: Path, entry: Entry, policy: ScanPolicy) -> BinaryIO:
    """Open the file of *entry*; hash and send it from this descriptor only.

    Any part of the path may have been exchanged since the look. So the path is not trusted: the
    kernel tells where the descriptor was really opened (/proc/self/fd). That must be the place the
    entry stands for, without a link on the way; the policy is asked again with it; and it must be
    the file that was looked at.

    Raises:
        FileChangedError: It is not the file that was looked at, or it changed or is gone.
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
    """Raise FileChangedError unless the name still leads to the same, unchanged file."""
    try:
        found = os.stat(os.path.join(root, entry.path))
    except OSError as error:
        _check_lasting(entry.path, error)
        raise FileChangedError(f"{entry.path}: {_reason(error)}") from error
    if _stamp(found) != entry.stamp:
        raise FileChangedError(f"{entry.path} changed since it was looked at")


class _Directory(NamedTuple):
    """A directory to list."""

    path: str  # where it really is, without links
    shown: str  # what the paths of its entries begin with: "" or "a/b/"
    link_owner: int | None  # of the last link on the way here, None where there was none
    ignored: bool = False


class _Name(NamedTuple):
    """One name of a directory, as `os.DirEntry` has it."""

    path: str

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """Look at it."""
        return os.stat(self.path, follow_symlinks=follow_symlinks)


class _Look:
    """One look in the making."""

    def __init__(self, base: str, links: Links, ignores: Callable[[str], object]) -> None:
        """Begin a look at *base*, a path without links."""
        self.entries: dict[str, Entry] = {}
        self.unreadable: dict[str, str] = {}
        self.directories: dict[str, DirectoryStamp] = {}
        self.base = base
        self._links = links
        self._ignores = ignores
        self._folders: dict[str, tuple[str, int | None]] = {}  # as above; who owns the last link
        self._parents: dict[str, str] = {}  # folders as links name them → without links
        self._listed: set[tuple[int, int]] = set()
        self._linked: list[_Directory] = []  # directories behind links, for later

    def walk(self, top: _Directory) -> None:
        """List *top* and every directory below it."""
        stack = [top]
        while stack:
            place = stack.pop()
            shown = place.shown.rstrip("/") or "."
            try:
                if why := self._objection_to_listing(place):
                    self.unreadable[shown] = why
                    continue
                with os.scandir(place.path) as names:
                    for name in names:
                        beat()
                        self._take(name, place, stack)
            except (FileNotFoundError, NotADirectoryError):
                continue  # it vanished
            except OSError as error:
                _check_lasting(place.path, error)
                if not place.ignored:
                    self.unreadable[shown] = _reason(error)

    def follow_links(self) -> None:
        """List the linked directories: after all others, so that a directory's own name wins."""
        while self._linked:
            self._linked.sort(key=lambda place: place.shown, reverse=True)
            self.walk(self._linked.pop())

    def _objection_to_listing(self, place: _Directory) -> str | None:
        found = os.stat(place.path)  # before it is listed: a change meanwhile shows afterwards
        self.directories[place.path] = _directory_stamp(found)
        identity = found.st_dev, found.st_ino
        if identity in self._listed or (place.link_owner is not None and self._is_above(place)):
            return "it is part of this execution under another name already"
        self._listed.add(identity)
        return None if place.link_owner is None else self._links.objection(place.path)

    def _is_above(self, place: _Directory) -> bool:
        return self.base != place.path and below(self.base, place.path)

    def _take(self, name: os.DirEntry[str], place: _Directory, stack: list[_Directory]) -> None:
        if not place.shown and (name.name in _OWN or name.name.startswith(OWN_PREFIX)):
            return
        ignored = place.ignored or bool(self._ignores(name.name))
        shown = place.shown + name.name
        try:
            if name.is_dir(follow_symlinks=False):
                if name.name == ASIDE_NAME:  # what lies there is put back or removed
                    return
                stack.append(_Directory(name.path, f"{shown}/", place.link_owner, ignored))
            elif ignored:
                self._add(shown, name.stat(follow_symlinks=False), Kind.IGNORED)
            elif name.is_symlink():
                self.take_link(name, shown)
            else:
                self.take_file(name, shown, place.link_owner)
        except FileNotFoundError:
            return  # it vanished

    def take_file(
        self, name: "os.DirEntry[str] | _Name", shown: str, link_owner: int | None
    ) -> None:
        """Note what is no directory and no link."""
        found = name.stat(follow_symlinks=False)
        why = self._links.objection_to_file(name.path, found, link_owner)
        target = None if link_owner is None else name.path
        self._add(shown, found, problem=why, target=target)

    def take_path(self, path: str) -> None:
        """Note the file at *path*, below the base, if it is there."""
        folder, _, last = path.rpartition("/")
        try:
            if folder not in self._folders:
                real = os.path.realpath(os.path.join(self.base, folder), strict=True)
                owner = link_owner(Path(self.base), folder) if folder else None
                self._folders[folder] = real, owner
            real, owner = self._folders[folder]
            name = _Name(os.path.join(real, last))
            found = name.stat(follow_symlinks=False)
            if any(map(self._ignores, path.split("/"))):
                self._add(path, found, Kind.IGNORED)
            elif stat.S_ISLNK(found.st_mode):
                self.take_link(name, path)
            elif not stat.S_ISDIR(found.st_mode):
                self.take_file(name, path, owner)
        except (FileNotFoundError, NotADirectoryError):
            return  # it is gone
        except OSError as error:
            _check_lasting(path, error)
            self.unreadable[folder or "."] = _reason(error)

    def take_link(self, name: "os.DirEntry[str] | _Name", shown: str) -> None:
        """Note a link: the file it leads to, or why it is not followed."""
        link = name.stat(follow_symlinks=False)
        try:
            target, found = self._resolve(name.path)
        except OSError as error:
            _check_lasting(name.path, error)
            self._add(
                shown, link, problem=f"it is a link that cannot be followed: {_reason(error)}"
            )
            return
        if stat.S_ISDIR(found.st_mode):
            why = self._links.objection(target) or stranger(found, link.st_uid)
            if not why:
                self._linked.append(_Directory(target, f"{shown}/", link.st_uid))
                return
        else:
            why = self._links.objection_to_file(target, found, link.st_uid)
        if why:
            self._add(shown, link, problem=why)
        else:
            self._add(shown, found, target=target)

    def _resolve(self, path: str) -> tuple[str, os.stat_result]:
        """Do as os.path.realpath, which looks at every folder again for every link."""
        text = os.readlink(path)
        if not text.startswith("/"):
            text = f"{path.rpartition('/')[0]}/{text}"
        folder, _, name = text.rpartition("/")
        if folder not in self._parents:
            self._parents[folder] = os.path.realpath(folder or "/", strict=True).rstrip("/")
        target = f"{self._parents[folder]}/{name}"
        found = os.lstat(target)
        if name in {"", ".", ".."} or stat.S_ISLNK(found.st_mode):
            target = os.path.realpath(path, strict=True)
            found = os.lstat(target)
        return target, found

    def _add(
        self,
        shown: str,
        found: os.stat_result,
        kind: Kind = Kind.CONTENT,
        problem: str | None = None,
        target: str | None = None,
    ) -> None:
        self.entries[shown] = Entry(
            shown,
            *_stamp(found),
            link=target is not None or stat.S_ISLNK(found.st_mode),
            target=target if problem is None else None,
            kind=kind if problem is None else Kind.UNUSABLE,
            problem=problem,
        )


def _open(root: Path, entry: Entry, links: Links) -> int:
    base, _ = links.base(root)
    expected = entry.target or os.path.join(base, entry.path)
    descriptor = os.open(expected, _OPEN_FLAGS)
    try:
        found = os.fstat(descriptor)
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        owner = link_owner(root, entry.path) if entry.link else None
        if place != expected or _stamp(found) != entry.stamp:
            raise FileChangedError(f"{entry.path} changed since it was looked at")  # noqa: TRY301
        if why := links.objection_to_file(expected, found, owner):
            raise unreadable(entry.path, why)  # noqa: TRY301
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _stamp(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino


def _directory_stamp(found: os.stat_result) -> DirectoryStamp:
    """Return what moves with every name; who copies a tree may set the mtime back, not this."""
    return found.st_ctime_ns, found.st_dev, found.st_ino


def _check_lasting(path: str, error: OSError) -> None:
    """Raise TransientError where an error may pass: it says nothing of what lies there."""
    if trouble := passing(f"cannot look at {path}", error):
        raise trouble from error


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
