"""Take a file that is uploaded out of its folder, or put it back, without ever taking another.

It is renamed into a directory of our own beside it, which nobody else may enter, verified there
through one descriptor, and only then removed or moved; whatever else happens, it goes back. Every
step names a file by an open directory and a name without "/", so that no link on the way can lead
elsewhere. Where the kernel grants it, a lease keeps others from opening the file for writing.

A process that dies leaves the file in that directory, under its own name: `putting_back` finds it.
"""
# A Path knows no open directory: what is named by one cannot be led astray.

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

from deriva_watch.core.completeness.observation import ASIDE_NAME
from deriva_watch.core.drop.drop_folder import MOVED
from deriva_watch.core.errors import FileChangedError
from deriva_watch.core.os_errors import passing
from deriva_watch.edges.disk import open_folders

_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(slots=True)
class Aside:
    """A file that was set aside. Leaving its context puts it back, unless it was removed.

    Attributes:
        top: The folder that nothing outside of is touched.
        path: Where it was, below *top*.
        stamp: What it was when it was uploaded.
        put_to: Where it was put back to, below *top*: another name where its own was taken.
        is_aside: It lies aside now; once it is put back, moved or removed it does not.
    """

    top: Path
    path: str
    stamp: open_folders.Stamp
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
            FileChangedError: It is not what was uploaded, somebody writes to it, or it is gone.
            RefusedError: It must stay where it is.
            TransientError: The disk does not answer.
        """
        with explained(self.path), ExitStack() as opened:
            self._open = opened
            self._folder = self._opened(open_folders.walk(self.top, self._way))
            self._check_name(self._folder)
            self._aside = self._opened(open_folders.own_folder(self._folder))
            opened.callback(open_folders.leave, self._folder)
            self._check_free()
            try:
                self.is_aside = True  # also where a network disk says that it failed
                os.rename(self._name, self._name, src_dir_fd=self._folder, dst_dir_fd=self._aside)
                self._file = self._opened(os.open(self._name, _FILE, dir_fd=self._aside))
                self._changed_ns = os.fstat(self._file).st_ctime_ns
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
        """Put it back unless it was removed; a process that dies leaves that to the next."""
        with explained(self.path), self._open:
            if kind is None or issubclass(kind, Exception):
                self.restore()

    @property
    def folder(self) -> Path:
        """Where it lies while it is aside."""
        return self.top.joinpath(*self._way, ASIDE_NAME)

    @property
    def leased(self) -> bool:
        """Whether the kernel says that nobody has it open for writing, and keeps it so."""
        return bool(self._leased)

    def body(self) -> BinaryIO:
        """Return its content from the beginning; closing that closes nothing else."""
        os.lseek(self._file, 0, os.SEEK_SET)
        return os.fdopen(os.dup(self._file), "rb")

    def check(self) -> None:
        """Raise as entering does unless it is still the file that was uploaded, and only that."""
        found = os.fstat(self._file)
        _check(self.path, found, self.stamp)
        if found.st_ctime_ns != self._changed_ns:
            raise FileChangedError(f"{self.path} was touched while it was verified")
        if self._leased is False or (self.leased and fcntl(self._file, F_GETLEASE) != F_RDLCK):
            raise FileChangedError(f"{self.path} is opened for writing")
        self._check_name(self._aside)
        with ExitStack() as opened:
            again = open_folders.walk(self.top, self._way)
            opened.callback(os.close, again)
            if not os.path.samestat(os.fstat(again), os.fstat(self._folder)):
                raise FileChangedError(f"the folder of {self.path} was exchanged")

    def unlink(self) -> None:
        """Remove it."""
        with explained(self.path):
            self.check()
            os.unlink(self._name, dir_fd=self._aside)
            self.is_aside = False

    def move(self) -> str:
        """Move it to the same place below `MOVED`; return that path below *top*.

        Where the name is taken there, it gets another one.
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
        """Put it back; under another name where its own is taken by now: both are kept."""
        with suppress(FileNotFoundError):  # somebody took it from there
            if self.is_aside:
                name = open_folders.rename_new(self._aside, self._name, self._folder)
                self.put_to = "/".join((*self._way, name))
        self.is_aside = False

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
        _check(self.path, os.lstat(self._name, dir_fd=folder), self.stamp)

    def _check_free(self) -> None:
        with suppress(FileNotFoundError):
            os.lstat(self._name, dir_fd=self._aside)
            why = f"another file of its name is left in {self.folder}"
            raise open_folders.kept(
                self.path, why, "See which of them is right, and remove the other."
            )


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what the system says of a file into an error of ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileChangedError(f"{path}: {error.strerror}") from error
    except OSError as error:
        if trouble := passing(f"cannot remove {path}", error):
            raise trouble from error
        why = error.strerror or str(error)
        raise open_folders.kept(path, why, "See to its folder (rights, file system).") from error


def _check(path: str, found: os.stat_result, stamp: open_folders.Stamp) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise open_folders.kept(
            path, "it is a link", "Remove the link, and what it leads to, by hand."
        )
    if (
        not stat.S_ISREG(found.st_mode)
        or found.st_nlink == 0
        or stamp != open_folders.stamp_of(found)
    ):
        raise FileChangedError(f"{path} is not what was uploaded any more")
    if found.st_nlink > 1:
        why = f"the file has {found.st_nlink} names (hard links)"
        raise open_folders.kept(path, why, "Remove the other names, or this one by hand.")


def _leased(descriptor: int) -> bool | None:
    """Take a read lease, which stands until *descriptor* is closed.

    False: somebody has the file open for writing; None: the kernel does not say.
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
