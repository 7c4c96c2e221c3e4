"""What to do about a folder to watch that is missing: it may be on a share that is not mounted."""
# ruff: noqa: PTH112
# Functions of os.path never raise; those of Path do where a folder may not be entered.

import getpass
import os
from pathlib import Path
from shlex import quote
from typing import Final

_FSTAB: Final = Path("/etc/fstab")
_FOR_MOUNTS: Final = tuple(map(Path, ("/mnt", "/media", "/net", "/run/media", "/Volumes")))


def why_missing(folder: Path, prefix: Path, fstab: Path = _FSTAB) -> tuple[str, str]:
    """Return why *folder*, which is *prefix* or below it, is not there for us, and what to do."""
    for each in reversed((folder, *folder.parents)):
        try:
            each.stat()
        except (FileNotFoundError, NotADirectoryError):
            break
        except OSError as error:
            then = f"Let {getpass.getuser()} enter {each.parent}. It is watched as soon as it can."
            return f"{each} cannot be looked at: {error.strerror}", then
    return f"there is no {folder}", advice(folder, prefix, fstab)


def advice(folder: Path, prefix: Path, fstab: Path = _FSTAB) -> str:
    """Return the advice for a missing *folder*, which is *prefix* or below it.

    It suggests to create a folder only where that cannot hide a share that is not mounted.
    """
    if point := _unmounted(prefix, fstab):
        return f"Mount the share: mount {quote(str(point))}. It is watched as soon as it is there."
    if os.path.isdir(prefix):
        empty = f"If {prefix} is where a share is mounted, mount it. " if _is_empty(prefix) else ""
        return f"{empty}It is watched as soon as a program creates it; or correct the path."
    if os.path.lexists(prefix):
        return f"{prefix} is not a folder; correct the path in the settings."
    above = next(each for each in prefix.parents if os.path.isdir(each))
    if above in _FOR_MOUNTS or _is_empty(above) or not set(_FOR_MOUNTS).isdisjoint(prefix.parents):
        return f"Mount the disk or share that {prefix} is on, or correct the path in the settings."
    return f"It is watched as soon as it exists: mkdir -p {quote(str(folder))}"


def _is_empty(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        return False


def _unmounted(prefix: Path, fstab: Path) -> Path | None:
    """Return the mount point at or above *prefix* that fstab has and that is not mounted."""
    try:
        lines = fstab.read_text(errors="replace").splitlines()
    except OSError:
        return None
    fields = [line.split() for line in lines if not line.lstrip().startswith("#")]
    points = {Path(each[1].replace("\\040", " ")) for each in fields if len(each) > 1}
    found = (each for each in (prefix, *prefix.parents) if each in points)
    return next((each for each in found if not os.path.ismount(each)), None)
