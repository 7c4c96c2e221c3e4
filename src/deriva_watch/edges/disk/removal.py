"""Removes an uploaded file from its folder, or puts it back; never removes another file instead.

The file is renamed into our private directory beside it, checked there through one open
descriptor, and only then deleted or moved. Otherwise it is put back. Every step names a file by an
open directory and a name without "/", so that no link can redirect it. If the kernel grants a
lease, no other process can open the file for writing meanwhile.

If the process dies, the file stays in the private directory under its own name; `restore` finds it.
"""
# os functions with dir_fd instead of Path: nobody can replace an open directory with a link.

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fcntl import F_GETLEASE, F_RDLCK, F_SETLEASE, F_SETSIG, fcntl
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from deriva_watch.core.completeness.observation import ASIDE_NAME, Stamp
from deriva_watch.core.drop.drop_folder import MOVED
from deriva_watch.core.errors import FileChangedError
from deriva_watch.core.os_errors import raise_if_passing, reason
from deriva_watch.edges.disk import open_folders
from deriva_watch.edges.disk.scanning.inodes import is_stamp

_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(slots=True)
class Aside:
    """A file that is set aside. Leaving the context puts it back unless it was removed.

    Attributes:
        top: Nothing outside this folder is changed.
        path: Its own path, below *top*.
        stamp: Size, time and identity of the file that was uploaded.
        put_to: The path it was put back to, below *top*: a new name if its own was taken.
        is_aside: Whether it is aside at present: not yet put back, moved or deleted.
    """

    top: Path
    path: str
    stamp: Stamp
    put_to: str | None = None
    is_aside: bool = False
    _folder: int = -1
    _aside: int = -1
    _file: int = -1
    _changed_ns: int = 0
    _leased: bool | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Set the file aside.

        Raises:
            FileChangedError: It differs from what was uploaded, is open for writing, or is gone.
            RefusedError: It must be kept.
            TransientError: The disk reports an error.
        """
        with explained(self.path), ExitStack() as opened:
            self._open = opened
            self._folder = self._opened(open_folders.walk(self.top, self._way))
            self._check_name(self._folder)
            try:
                self._take()
                self._file = self._opened(os.open(self._name, _FILE, dir_fd=self._aside))
                self._changed_ns = os.fstat(self._file).st_ctime_ns
                if self.is_aside:
                    self._leased = _leased(self._file)
                self.check()
            except BaseException:
                self.restore()
                raise
            self._open = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Put it back unless it was removed; if the process is killed, the next one does."""
        with explained(self.path), self._open:
            if kind is None or issubclass(kind, Exception):
                self.restore()

    @property
    def folder(self) -> Path:
        """The directory it is in while it is aside."""
        return self.top.joinpath(*self._way, ASIDE_NAME)

    @property
    def leased(self) -> bool:
        """Whether a lease guarantees that no process has it open for writing."""
        return bool(self._leased)

    def found(self) -> os.stat_result:
        """Return its present stat."""
        return os.fstat(self._file)

    def body(self) -> BinaryIO:
        """Return its content from the beginning as an open file; the caller closes it."""
        os.lseek(self._file, 0, os.SEEK_SET)
        return os.fdopen(os.dup(self._file), "rb")

    def check(self) -> None:
        """Raise the same errors as `__enter__` unless it is still the uploaded file."""
        found = self.found()
        self._check(found)
        if found.st_ctime_ns != self._changed_ns:
            raise FileChangedError(f"{self.path} changed while it was checked")
        if self._leased is False or (self.leased and fcntl(self._file, F_GETLEASE) != F_RDLCK):
            raise FileChangedError(f"{self.path} is open for writing")
        self._check_name(self._aside)
        with ExitStack() as opened:
            again = open_folders.walk(self.top, self._way)
            opened.callback(os.close, again)
            if not open_folders.is_same(again, self._folder):
                raise FileChangedError(f"the folder of {self.path} was replaced")

    def unlink(self) -> None:
        """Delete it."""
        with explained(self.path):
            self.check()
            os.unlink(self._name, dir_fd=self._aside)
            self.is_aside = False

    def move(self) -> str:
        """Move it to the same path below `MOVED`; return the new path below *top*.

        It gets a new name if its own is taken there.
        """
        with explained(self.path), ExitStack() as opened:
            like = there = os.open(self.top, open_folders.FOLDER)
            opened.callback(os.close, like)
            for name in (MOVED, *self._way):
                if there != like:
                    like = open_folders.enter(like, name)
                    opened.callback(os.close, like)
                there = open_folders.made(there, name, os.fstat(like))
                opened.callback(os.close, there)
            self.check()
            name = open_folders.rename_new(self._aside, self._name, there)
            self.is_aside = False
            return "/".join((MOVED, *self._way, name))

    def restore(self) -> None:
        """Put it back, under a new name if its own is taken by now, so that both files are kept."""
        with suppress(FileNotFoundError):  # somebody has removed it
            if self.is_aside:
                name = open_folders.rename_new(self._aside, self._name, self._folder)
                self.put_to = "/".join((*self._way, name))
        self.is_aside = False

    def _take(self) -> None:
        """Rename it into our private folder."""
        self._aside = self._opened(open_folders.own_folder(self._folder))
        self._open.callback(open_folders.leave, self._folder)
        self._check_free()
        self.is_aside = True  # even if a network disk reported a failure
        os.rename(self._name, self._name, src_dir_fd=self._folder, dst_dir_fd=self._aside)

    @property
    def _way(self) -> tuple[str, ...]:
        return tuple(self.path.split("/")[:-1])

    @property
    def _name(self) -> str:
        return self.path.rpartition("/")[2]

    def _opened(self, descriptor: int) -> int:
        self._open.callback(os.close, descriptor)
        return descriptor

    def _check_name(self, folder: int) -> None:
        self._check(os.lstat(self._name, dir_fd=folder))

    def _check(self, found: os.stat_result) -> None:
        path = self.path
        if stat.S_ISLNK(found.st_mode):
            raise open_folders.kept(
                path, "it is a link", "The link and its target can be removed by hand."
            )
        own = f"{os.path.realpath(self.top)}/{path}"
        is_whole = stat.S_ISREG(found.st_mode) and found.st_nlink > 0
        if not (is_whole and is_stamp(self.stamp, found, own)):
            raise FileChangedError(f"{path} differs from what was uploaded")
        if found.st_nlink > 1:
            why = f"the file has {found.st_nlink} names (hard links)"
            raise open_folders.kept(path, why, "This name, or the others, can be removed by hand.")

    def _check_free(self) -> None:
        with suppress(FileNotFoundError):
            os.lstat(self._name, dir_fd=self._aside)
            why = f"{self.folder} still has another file of this name"
            raise open_folders.kept(
                self.path, why, "Check which of them is right, and remove the other."
            )


@dataclass(slots=True)
class InPlace(Aside):
    """The same checks of a file that stays where it is: nothing is renamed, created or leased."""

    @property
    def folder(self) -> Path:
        """The directory it is in."""
        return self.top.joinpath(*self._way)

    def _take(self) -> None:
        """Check that it could be renamed."""
        open_folders.check_writable(self._folder)
        self._aside = self._opened(os.dup(self._folder))


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn an OSError about a file into one of our errors."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileChangedError(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise_if_passing(f"cannot remove {path}", error)
        raise open_folders.kept(
            path, reason(error), "Check the permissions and the file system of its folder."
        ) from error


def _leased(descriptor: int) -> bool | None:
    """Take a read lease, which lasts until *descriptor* is closed.

    Returns False if a process has the file open for writing, None if the kernel grants no lease.
    """
    try:
        # Breaking a lease sends SIGIO, which would end this process; SIGURG is ignored.
        fcntl(descriptor, F_SETSIG, signal.SIGURG)
        fcntl(descriptor, F_SETLEASE, F_RDLCK)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
