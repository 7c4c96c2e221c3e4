"""One daemon a journal: a lock that the kernel drops when its holder dies."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from deriva_watch.core.errors import JournalHeldError

_PATIENCE_S = 0.5  # readers hold it shared for some milliseconds
_PAUSE_S = 0.02


def lock_of(journal: Path) -> Path:
    """Return the file that is locked for *journal*."""
    return journal.with_name(f"{journal.name}.lock")


def hold(journal: Path) -> int:
    """Lock *journal* for this process alone and return the descriptor that holds it."""
    descriptor = os.open(lock_of(journal), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    patient_until = time.monotonic() + _PATIENCE_S
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > patient_until:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise JournalHeldError(
                f"cannot take the journal {journal}",
                f"process {pid or '(unknown)'} holds it",
                "Stop that deriva-watch first, or name another file in [journal] url.",
            )
        time.sleep(_PAUSE_S)
    os.ftruncate(descriptor, os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0))
    return descriptor


def share(journal: Path) -> int | None:
    """Keep daemons out until the descriptor is closed; None: one holds the journal."""
    descriptor = os.open(lock_of(journal), os.O_RDONLY | os.O_CLOEXEC)
    if _try_lock(descriptor, fcntl.LOCK_SH):
        return descriptor
    os.close(descriptor)
    return None


def holder(journal: Path) -> int | None:
    """Return the pid of the daemon that holds *journal*, or None."""
    with suppress(FileNotFoundError):
        descriptor = share(journal)
        if descriptor is None:
            return int(lock_of(journal).read_text() or 0)  # 0: it is just about to write it
        os.close(descriptor)
    return None


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
