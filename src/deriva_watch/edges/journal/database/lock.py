"""The lock of a journal: one daemon holds it, or any number of readers share it.

Readers need it only while no daemon runs; see `sqlite.outside_engine`.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from deriva_watch.core.errors import JournalHeldError

_PATIENCE_S = 0.5  # readers share the lock for some milliseconds
_PAUSE_S = 0.02


def lock_file_of(journal: Path) -> Path:
    """Return the lock file of *journal*."""
    return journal.with_name(f"{journal.name}.lock")


def take(journal: Path) -> int:
    """Lock *journal* for this process and return the descriptor that holds the lock.

    Raises JournalHeldError if another process has it.
    """
    descriptor = os.open(lock_file_of(journal), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline_s = time.monotonic() + _PATIENCE_S
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline_s:
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
    """Lock daemons out until the returned descriptor is closed; None if one holds the journal."""
    descriptor = os.open(lock_file_of(journal), os.O_RDONLY | os.O_CLOEXEC)
    if _try_lock(descriptor, fcntl.LOCK_SH):
        return descriptor
    os.close(descriptor)
    return None


def holder(journal: Path) -> int | None:
    """Return the PID of the daemon that holds *journal*, or None; 0 if it is not written yet."""
    with suppress(FileNotFoundError):
        descriptor = share(journal)
        if descriptor is None:
            return int(lock_file_of(journal).read_text() or 0)
        os.close(descriptor)
    return None


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
