"""What to do about a folder to watch that is missing: it may be on a share that is not mounted."""

import os
from pathlib import Path
from shlex import quote
from typing import Final

_FSTAB: Final = Path("/etc/fstab")
_FOR_MOUNTS: Final = tuple(map(Path, ("/mnt", "/media", "/net", "/run/media", "/Volumes")))


def advice(folder: Path, prefix: Path, fstab: Path = _FSTAB) -> str:
    """Return the advice for a missing *folder*, which is *prefix* or below it.

    It suggests to create a folder only where that cannot hide a share that is not mounted.
    """
    if point := _unmounted(prefix, fstab):
        return f"Mount the share: mount {quote(str(point))}. It is watched as soon as it is there."
    if prefix.is_dir():
        empty = f"If {prefix} is where a share is mounted, mount it. " if _is_empty(prefix) else ""
        return f"{empty}It is watched as soon as a program creates it; or correct the path."
    if os.path.lexists(prefix):
        return f"{prefix} is not a folder; correct the path in the settings."
    above = next(each for each in prefix.parents if each.is_dir())
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
    found = [each for each in (prefix, *prefix.parents) if each in points and not each.is_mount()]
    return found[0] if found else None
