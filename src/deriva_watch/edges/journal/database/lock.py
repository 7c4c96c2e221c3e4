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
_LARGEST_BYTES = 200  # a PID and a note


def lock_file_of(journal: Path) -> Path:
    """Return the lock file of *journal*."""
    return journal.with_name(f"{journal.name}.lock")


class Lock:
    """The lock of a journal, held by this process until it is released.

    Attributes:
        note: What the previous holder left with `release`; "" if it was killed before.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        first_line, _, note = _read(descriptor).partition("\n")
        self.note = note.strip() if first_line.isdecimal() else ""
        own = f"{os.getpid()}\n".encode()
        os.ftruncate(descriptor, os.pwrite(descriptor, own, 0))
        os.fsync(descriptor)  # the note is gone before the journal changes, also if power fails

    def release(self, note: str = "") -> None:
        """Leave *note* for the next holder and release the lock; again is fine."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if note:
            end = os.fstat(descriptor).st_size
            os.pwrite(descriptor, f"{note}\n".encode(), end)
            os.fsync(descriptor)
        os.close(descriptor)


def take(journal: Path) -> Lock:
    """Lock *journal* for this process.

    Raises JournalHeldError if another process has it.
    """
    descriptor = os.open(lock_file_of(journal), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline_s = time.monotonic() + _PATIENCE_S
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > deadline_s:
            pid = _read(descriptor).partition("\n")[0]
            os.close(descriptor)
            raise JournalHeldError(
                f"cannot take the journal {journal}",
                f"process {pid or '(unknown)'} holds it",
                "Stop that deriva-watch first, or name another file in [journal] url.",
            )
        time.sleep(_PAUSE_S)
    return Lock(descriptor)


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
            return int(lock_file_of(journal).read_text().partition("\n")[0] or 0)
        os.close(descriptor)
    return None


def _read(descriptor: int) -> str:
    return os.pread(descriptor, _LARGEST_BYTES, 0).decode(errors="replace")


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
