"""Files of ours: replaced completely, by rename, and read beside a unit only if they count."""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import BinaryIO, Final

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.core.trust import objection

COPY: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

Opener = Callable[[], AbstractContextManager[int]]
"""Opens the folder of a unit, checked, as a descriptor; raises OSError."""


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Open a folder of the state directory for this process alone; create it if needed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, _FOLDER)
    try:
        flock(descriptor, LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def open_copy(folder: int, name: str, trusted: Collection[int]) -> BinaryIO:
    """Open a file of ours that is in the folder of a unit; PermissionError if it does not count."""
    file = os.fdopen(os.open(name, COPY, dir_fd=folder), "rb")
    found, why = os.fstat(file.fileno()), None
    if not stat.S_ISREG(found.st_mode):
        why = "it is not a regular file"
    else:
        why = objection(found.st_uid, os.fstat(folder).st_uid, {*trusted, os.geteuid()})
    if why is None:
        return file
    file.close()
    raise PermissionError(errno.EPERM, why, name)


def replace(
    folder: int,
    name: str,
    content: Iterable[bytes],
    mode: int,
    owner: os.stat_result | None = None,
) -> os.stat_result:
    """Replace the file *name* in the open *folder* durably, or leave it as it was."""
    part = f"{OWN_PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(part, _NEW, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
            written = os.fstat(file.fileno())
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise
    return written


@dataclass(frozen=True, slots=True)
class Beside:
    """The folder of a unit, which has copies of what we keep.

    Attributes:
        root: Its path.
        opened: Opens it.
        trusted: Users whose copies count, beside those of its owner.
    """

    root: Path
    opened: Opener
    trusted: Collection[int] = ()
