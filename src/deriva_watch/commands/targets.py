"""The units that a path on the command line names."""

import getpass
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import SettingsError
from deriva_watch.core.layout import LOOSE, ROOT, TABLES
from deriva_watch.core.unit import Unit
from deriva_watch.pipeline.unit_paths import drop_units, execution_units
from deriva_watch.settings.model import Settings


def units_at(paths: Iterable[Path], settings: Settings) -> list[Unit]:
    """Return the units that *paths* name: each itself, or all below a prefix or drop folder.

    Files of a drop folder that are in none of its directories are one unit, `LOOSE`.

    Raises SettingsError for a path with nothing to upload.
    """
    absolute = (Path(os.path.abspath(path)) for path in paths)  # noqa: PTH100  # without ".."
    return [unit for path in absolute for unit in _units_of(path, settings)]


def _units_of(path: Path, settings: Settings) -> Iterator[Unit]:
    try:
        path.stat()
    except PermissionError as error:
        raise SettingsError(
            f"cannot look at {path}",
            f"{getpass.getuser()} may not enter a folder above it: {error.strerror}",
            "Run this as a user who may, or let this user enter it.",
        ) from error
    except OSError:
        pass  # what follows says that there is nothing
    for folder, drop in settings.drops.items():
        if folder in {path, *path.parents}:
            yield from _units_in(path, drop, settings)
            return
    if path.parent.name == "execution" and path.parent.parent.name == ROOT and path.is_dir():
        yield Unit(path.parents[2], path.name)
        return
    if path.name == "table" and path.parent.name == ROOT and path.is_dir():
        yield Unit(path.parents[1], TABLES)
        return
    # A prefix may itself be called deriva-ml: the released deriva-ml calls it that.
    prefixes = (path, path.parent) if path.name == "deriva-ml" else (path,)
    for prefix in prefixes:
        if names := execution_units(prefix, settings).names:
            yield from (Unit(prefix, name) for name in sorted(names))
            return
    raise _nothing(
        path,
        "it is not a directory deriva-ml/execution/<RID>, and has none below it",
        "Name an execution directory, the folder that holds deriva-ml/, or a drop folder.",
    )


def _units_in(path: Path, drop: Drop, settings: Settings) -> Iterator[Unit]:
    by_directory = drop.unit == "directory"
    if not path.is_dir() or (path != drop.path and not (by_directory and path.parent == drop.path)):
        takes = "each of its directories" if by_directory else "its files in batches"
        raise _nothing(
            path,
            f"the drop folder {drop.path} takes {takes}",
            f"Name {drop.path}{', or a directory in it' if by_directory else ''}.",
        )
    if path != drop.path:
        yield Unit(drop.path, path.name, drop)
        return
    found = drop_units(drop, settings)
    yield from (Unit(path, name, drop) for name in sorted(found.names))
    if found.beside:  # shown as not uploaded
        yield Unit(path, LOOSE, drop)


def _nothing(path: Path, why: str, then: str) -> SettingsError:
    is_there = path.is_dir() or path.is_file()
    why = why if is_there else "there is no such directory"
    return SettingsError(f"there is nothing to upload in {path}", why, then)
