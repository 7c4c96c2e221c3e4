"""Errors of the operating system: which ones may pass, and which resource is missing."""

import errno
from typing import Final

from deriva_watch.core.errors import ShortageError, TransientError

_LACKING: Final = {
    errno.EMFILE: "Raise LimitNOFILE of the service (systemctl edit deriva-watch)",
    errno.ENFILE: "Raise the sysctl fs.file-max",
    errno.ENOMEM: "Give this machine, or the service (MemoryMax), more memory",
    errno.ENOSPC: "Make room on its file system",
    errno.EFBIG: "Lift the limit on the size of files (LimitFSIZE)",
    errno.EDQUOT: "Raise the quota of the user of deriva-watch",
}
_PASSING: Final = {
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.EBUSY,
    errno.EREMOTEIO,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}


def passing(what: str, error: Exception) -> TransientError | None:
    """Return the error to raise if *error* may pass by itself; None if it will not, or is a bug.

    A ShortageError is a problem of this machine, and no fault of the file.
    """
    if not isinstance(error, OSError):
        return None
    why = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
    if remedy := _LACKING.get(error.errno or 0):
        return ShortageError(what, why, f"{remedy}; work then continues automatically.")
    return TransientError(what, why) if error.errno in _PASSING else None


def raise_if_passing(what: str, error: OSError) -> None:
    """Raise the error of `passing`, if there is one: it says nothing about the files."""
    if trouble := passing(what, error):
        raise trouble from error


def reason(error: OSError) -> str:
    """Return the reason that the operating system gives."""
    return error.strerror or str(error)
