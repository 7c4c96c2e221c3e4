"""Removes links together with the file they lead to, so that no broken link remains."""

import os
import stat
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from deriva_watch.edges.disk import open_folders


def check(top: Path, paths: Iterable[str]) -> None:
    """Raise RefusedError or OSError unless all these links below *top* can be removed."""
    for path in paths:
        *way, name = path.split("/")
        with ExitStack() as opened:
            folder = open_folders.walk(top, way)
            opened.callback(os.close, folder)
            is_link = stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode)
            if not is_link or not os.access(".", os.W_OK, dir_fd=folder, effective_ids=True):
                why = f"the link {path}, which leads to it, cannot be removed with it"
                raise open_folders.kept(path, why, "Both can be removed by hand.")


def remove(top: Path, paths: Iterable[str]) -> None:
    """Remove those of the links below *top* that are broken, and nothing else."""
    for path in paths:
        with suppress(FileNotFoundError):
            _remove(top, path)


def _remove(top: Path, path: str) -> None:
    *way, name = path.split("/")
    with ExitStack() as opened:
        folder = open_folders.walk(top, way)
        opened.callback(os.close, folder)
        before = os.lstat(name, dir_fd=folder)
        if not stat.S_ISLNK(before.st_mode) or _leads_somewhere(folder, name):
            return
        aside = open_folders.own_folder(folder)
        opened.callback(os.close, aside)
        opened.callback(open_folders.leave, folder)
        # Only in our private directory can nobody replace the link after the check.
        there = open_folders.rename_new(folder, name, aside)
        if os.path.samestat(os.lstat(there, dir_fd=aside), before):
            os.unlink(there, dir_fd=aside)
        else:
            open_folders.rename_new(aside, there, folder)


def _leads_somewhere(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # unknown: keep it
    return True
