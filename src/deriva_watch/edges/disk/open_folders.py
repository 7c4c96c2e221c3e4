"""Opens folders and renames in them by descriptors, safe from links and other processes.

An open folder and a name without "/" always mean an entry of that folder, even if a folder above is
renamed.
"""
# ruff: noqa: PTH208,PTH115
# Path has no functions for open directories.

import ctypes
import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from deriva_watch.core.completeness.observation import ASIDE_NAME
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.prose import counted
from deriva_watch.core.removal.removal import numbered

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_NOREPLACE: Final = 1  # RENAME_NOREPLACE of linux/fs.h
_UNKNOWN: Final = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
}  # not supported by this file system or kernel
_LINK: Final = {errno.ELOOP, errno.ENOTDIR}  # what O_DIRECTORY | O_NOFOLLOW says to a link
_NUMBERS: Final = 1000  # how many names are tried if one is taken


def kept(path: str, why: str, then: str) -> RefusedError:
    """Return the error for a file that is not removed."""
    return RefusedError(f"{path} is uploaded, but the local file is kept", why, then)


def is_folder(path: Path) -> bool:
    """Return whether there is a folder that we may look at; unlike Path.is_dir, never raise."""
    return os.path.isdir(path)  # noqa: PTH112


def open_real(path: str) -> int:
    """Open the folder at *path*, absolute and without links; the caller closes it.

    Raises FileNotFoundError if any part of the path is a link by now, or was renamed.
    """
    try:
        folder = os.open(path, FOLDER | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in _LINK:
            raise FileNotFoundError(errno.ENOENT, "it is no longer a folder", path) from error
        raise
    if os.readlink(f"/proc/self/fd/{folder}") == path:
        return folder
    os.close(folder)
    raise FileNotFoundError(errno.ENOENT, "a folder above it was replaced", path)


def walk(top: Path, folders: Sequence[str]) -> int:
    """Open a folder below *top* without following links; the caller closes it."""
    folder = os.open(top, FOLDER)
    for name in folders:
        try:
            below = enter(folder, name)
        finally:
            os.close(folder)
        folder = below
    return folder


def enter(folder: int, name: str) -> int:
    """Open the folder *name* in *folder*, unless it is a link."""
    if name in {"", ".", ".."}:
        raise kept(
            name, "its path leads outside the folder", "Report this: it is a bug of deriva-watch."
        )
    try:
        return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        if error.errno in _LINK:
            then = "The file can be removed by hand."
            raise kept(name, "it is a link, or not a folder", then) from error
        raise


def own_folder(folder: int) -> int:
    """Open our private directory in *folder*; create it if needed."""
    with suppress(FileExistsError):
        os.mkdir(ASIDE_NAME, 0o700, dir_fd=folder)
    return _private(folder)


def _private(folder: int) -> int:
    """Open our private directory in *folder*, which must exist."""
    aside = enter(folder, ASIDE_NAME)
    if not _is_private(aside):
        os.close(aside)
        then = "Make the user of deriva-watch its owner, with mode 0700, or move it elsewhere."
        raise kept(ASIDE_NAME, "other users may enter it", then)
    return aside


def left_aside(path: str) -> str | None:
    """Return the contents of our private directory at *path* as a sentence about "it"; None: empty.

    Where a removal is under way it holds a file for a moment.
    """
    try:
        folder = open_real(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be listed: {error.strerror}"
    try:
        count = len(os.listdir(folder))
    finally:
        os.close(folder)
    if not count:
        return None
    return (
        f"it holds {counted(count, 'file')} of a removal that was interrupted; move them to the "
        "folder that it is in"
    )


def check_writable(folder: int) -> None:
    """Raise OSError or RefusedError unless our private directory can be used in *folder*."""
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
        raise PermissionError(errno.EACCES, "its folder cannot be written to")
    with suppress(FileNotFoundError):
        os.close(_private(folder))


def listed(top: Path, path: str) -> dict[str, bool]:
    """Return the names in the folder *path* below *top*, and whether each is a directory.

    Raises as `walk`.
    """
    with ExitStack() as opened:
        folder = walk(top, [name for name in path.split("/") if name])
        opened.callback(os.close, folder)
        with os.scandir(folder) as names:
            return {name.name: name.is_dir() for name in names}


def made(folder: int, name: str, like: os.stat_result) -> int:
    """Open the folder *name* in *folder*; if needed, create it with the owner of *like*.

    Raises RefusedError if it belongs to somebody else than that owner, root or us, or is on
    another file system.
    """
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return _entered(folder, name, like)
    made = enter(folder, name)
    if _is_private(made) and not os.listdir(made):  # nobody has replaced it
        with suppress(PermissionError):
            os.fchown(made, like.st_uid, like.st_gid)
        os.fchmod(made, stat.S_IMODE(like.st_mode))
    return made


def _entered(folder: int, name: str, like: os.stat_result) -> int:
    there = enter(folder, name)
    found = os.fstat(there)
    if found.st_uid in {like.st_uid, os.geteuid(), 0} and found.st_dev == os.fstat(folder).st_dev:
        return there
    os.close(there)
    then = f"Make user {like.st_uid} its owner, or move {name} elsewhere."
    raise kept(name, f"it is a folder of user {found.st_uid}, or on another file system", then)


def _is_private(folder: int) -> bool:
    found = os.fstat(folder)
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def leave(folder: int) -> None:
    """Remove our private directory if it is empty."""
    with suppress(OSError):
        os.rmdir(ASIDE_NAME, dir_fd=folder)


def rename_new(source: int, name: str, target: int) -> str:
    """Rename a file into another folder without replacing a file; return its new name."""
    for number in range(1, _NUMBERS):
        new = name if number == 1 else numbered(name, number)
        try:
            _rename_unless_taken(source, name, target, new)
        except FileExistsError:
            there = os.lstat(new, dir_fd=target)
            if not os.path.samestat(there, os.lstat(name, dir_fd=source)):
                continue
            os.unlink(name, dir_fd=source)  # we were killed between the two steps of a rename
        return new
    raise FileExistsError(errno.EEXIST, "too many similar names are taken", name)


_libc = ctypes.CDLL(None, use_errno=True)


def _rename_unless_taken(source: int, name: str, target: int, new: str) -> None:
    answer, number = -1, errno.ENOSYS
    if hasattr(_libc, "renameat2"):
        paths = os.fsencode(name), os.fsencode(new)
        answer = _libc.renameat2(source, paths[0], target, paths[1], _NOREPLACE)
        number = ctypes.get_errno()
    if answer == 0:
        return
    if number not in _UNKNOWN:
        raise OSError(number, os.strerror(number), name)
    # For a file system without it: *source* is private, so nobody can replace *name*.
    os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    os.unlink(name, dir_fd=source)


def prune(top: Path, path: str, *, above: int) -> None:
    """Remove the empty folders of *path*, below *top*, starting with the innermost.

    The first *above* folders stay. A folder with entries stays too: rmdir removes no data.
    """
    folders = path.split("/")[:-1]
    with suppress(OSError, RefusedError):
        while len(folders) > above:
            with ExitStack() as opened:
                parent = walk(top, folders[:-1])
                opened.callback(os.close, parent)
                os.rmdir(folders.pop(), dir_fd=parent)


def is_same(one: int, other: int) -> bool:
    """Return whether two descriptors have the same folder open."""
    paths = {os.readlink(f"/proc/self/fd/{folder}") for folder in (one, other)}
    return len(paths) == 1 or os.path.samestat(os.fstat(one), os.fstat(other))
