"""A journal looked at from outside, whole, without changing it."""

from dataclasses import dataclass
from pathlib import Path

from deriva_watch.edges.journal import lock, sqlite, trouble
from deriva_watch.edges.journal.revision import revision_of
from deriva_watch.edges.journal.schema import REVISION


@dataclass(frozen=True, slots=True)
class Examined:
    """What a sound journal is like.

    Attributes:
        path: Its file.
        revision: Of its tables; None: there is no journal yet.
        size_bytes: Of the file.
        holder: The process of the daemon that works with it, or None.
    """

    path: Path
    revision: str | None = None
    size_bytes: int = 0
    holder: int | None = None

    @property
    def is_older(self) -> bool:
        """An older release wrote it."""
        return self.revision is not None and self.revision < REVISION


def examine(url: str) -> Examined:
    """Return what the journal at *url* is like.

    Raises:
        TroubleError: It is damaged, of a newer release, or cannot be read.
    """
    path = sqlite.path_of(url)
    with trouble.explained("read", path):
        try:
            size_bytes = path.stat().st_size
        except FileNotFoundError:
            return Examined(path)
        engine = sqlite.outside_engine(path)
        with engine.connect() as connection:
            sqlite.check(connection, path)
            found = revision_of(connection)
    if found is not None and found > REVISION:
        raise trouble.of_other_release(path, found, REVISION)
    return Examined(path, found, size_bytes, lock.holder(path))


def holder(url: str) -> int | None:
    """Return the process of the daemon that works with the journal at *url*, or None."""
    try:
        return lock.holder(sqlite.path_of(url))
    except OSError:  # not for us, or no place where a journal could be
        return None
