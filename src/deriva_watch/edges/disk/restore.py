"""Puts back files that a process had set aside when it was killed, under their own names."""
# ruff: noqa: PTH118,PTH208
# os functions with dir_fd instead of Path: nobody can replace an open directory with a link.

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from deriva_watch.core.completeness.observation import ASIDE_NAME, Stamp
from deriva_watch.core.drop.drop_folder import MOVED
from deriva_watch.core.errors import RefusedError
from deriva_watch.edges.disk import open_folders
from deriva_watch.edges.disk.scanning.inodes import is_stamp


@dataclass(frozen=True, slots=True)
class Restored:
    """The result for a file that was found aside.

    Attributes:
        path: Its own path, below the folder that was searched.
        now: Its present path; None if it could not be put back.
        why: Why it could not be put back.
    """

    path: str
    now: str | None
    why: str | None = None


def put_back(top: Path, but: str | None = None) -> Iterator[Restored]:
    """Put back all files that are set aside below *top*, except in its folder *but*."""
    base, todo = os.path.realpath(top), ["."]
    while todo:
        path = todo.pop()
        with ExitStack() as opened:
            try:
                folder = open_folders.open_real(os.path.normpath(os.path.join(base, path)))
                opened.callback(os.close, folder)
                names = _folders_in(folder)
            except OSError:  # it is gone, or we could not have set a file aside there
                continue
            others = names - ({ASIDE_NAME, but} if path == "." else {ASIDE_NAME})
            todo += [_joined(path, each) for each in others]
            if ASIDE_NAME in names:
                yield from _put_back(folder, path)


def put_back_in(top: Path, path: str) -> Iterator[Restored]:
    """Put back the files that are set aside in the folder of *path*, below *top*."""
    way = path.split("/")[:-1]
    with suppress(OSError, RefusedError), ExitStack() as opened:
        folder = open_folders.walk(top, way)
        opened.callback(os.close, folder)
        os.lstat(ASIDE_NAME, dir_fd=folder)
        yield from _put_back(folder, "/".join(way))


def is_there(top: Path, path: str, device: int) -> bool | None:
    """Return whether a file of that name exists; None if that cannot be known now.

    If the folder is on a different file system from the file, on *device*, its disk is not mounted.
    """
    *way, name = path.split("/")
    try:
        with ExitStack() as opened:
            folder = open_folders.walk(top, way)
            opened.callback(os.close, folder)
            is_away = not _is_same_disk(os.fstat(folder).st_dev, device)
            if is_away or _is_in(folder, f"{ASIDE_NAME}/{name}"):
                return None
            return _is_in(folder, name)
    except (OSError, RefusedError):
        return None


def moved_to(top: Path, path: str, stamp: Stamp) -> str | None:
    """Return where below *top* the file of *path* was moved to, or None."""
    folder, own = "/".join((MOVED, *path.split("/")[:-1])), f"{os.path.realpath(top)}/{path}"
    with suppress(OSError, RefusedError), ExitStack() as opened:
        there = open_folders.walk(top, folder.split("/"))
        opened.callback(os.close, there)
        for name in os.listdir(there):
            if is_stamp(stamp, os.lstat(name, dir_fd=there), own):
                return f"{folder}/{name}"
    return None


def _is_same_disk(one: int, other: int) -> bool:
    """Return whether two device numbers may be one disk.

    File systems without a block device have the major number 0, and another minor number after
    each mount.
    """
    return one == other or os.major(one) == os.major(other) == 0


def _is_in(folder: int, path: str) -> bool:
    try:
        os.lstat(path, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _folders_in(folder: int) -> set[str]:
    with os.scandir(folder) as names:
        return {name.name for name in names if name.is_dir(follow_symlinks=False)}


def _put_back(folder: int, shown: str) -> Iterator[Restored]:
    """Put back the files that are set aside in *folder*; messages name the folder *shown*."""
    with ExitStack() as opened:
        opened.callback(open_folders.leave, folder)
        try:
            aside = open_folders.own_folder(folder)
        except (RefusedError, OSError) as error:
            yield Restored(_joined(shown, ASIDE_NAME), None, str(error))
            return
        opened.callback(os.close, aside)
        for name in sorted(os.listdir(aside)):
            try:
                now = open_folders.rename_new(aside, name, folder)
            except OSError as error:
                yield Restored(_joined(shown, name), None, error.strerror)
            else:
                yield Restored(_joined(shown, name), _joined(shown, now))


def _joined(folder: str, name: str) -> str:
    return os.path.normpath(os.path.join(folder, name))
