"""The journal as other processes see it: they change nothing."""

from dataclasses import dataclass
from pathlib import Path

from deriva_watch.edges.journal import problems
from deriva_watch.edges.journal.database import lock, sqlite
from deriva_watch.edges.journal.database.migration import require_revision, revision_of
from deriva_watch.edges.journal.reader import Reader
from deriva_watch.edges.journal.schema import REVISION


def open_readonly(url: str) -> Reader:
    """Return a reader of the journal at *url*, which keeps nothing open between two queries.

    Raises TroubleError if there is no journal yet, or if it cannot be read.
    """
    path = sqlite.path_of(url)
    with problems.explained("read", path):
        try:
            path.open("rb").close()
        except FileNotFoundError:
            raise problems.missing(path) from None
        engine = sqlite.outside_engine(path)
        with engine.connect() as connection:
            require_revision(connection, path)
    return Reader(path, engine)


@dataclass(frozen=True, slots=True)
class Examined:
    """A sound journal.

    Attributes:
        path: Its file.
        revision: Of its tables; None if there is no journal yet.
        size_bytes: Of the file.
        holder: PID of the daemon that holds it, or None.
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
    """Check the whole journal at *url* and return its properties.

    Raises:
        TroubleError: It is damaged, of a newer release, or cannot be read.
    """
    path = sqlite.path_of(url)
    with problems.explained("read", path):
        try:
            size_bytes = path.stat().st_size
        except FileNotFoundError:
            return Examined(path)
        engine = sqlite.outside_engine(path)
        with engine.connect() as connection:
            sqlite.check(connection, path)
            found = revision_of(connection)
    if found is not None and found > REVISION:
        raise problems.other_release(path, found, REVISION)
    return Examined(path, found, size_bytes, lock.holder(path))


def holder(url: str) -> int | None:
    """Return the PID of the daemon that holds the journal at *url*, or None."""
    try:
        return lock.holder(sqlite.path_of(url))
    except OSError:  # no permission, or a path where no journal can be
        return None
