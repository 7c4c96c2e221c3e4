"""A journal looked at from outside, whole, without changing it."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from deriva_watch.edges.journal import sqlite, trouble
from deriva_watch.edges.journal.schema import REVISION

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
# It keeps what it works on in modules; two threads may open journals of their own.
_ALEMBIC: Final = threading.Lock()


def migrate(connection: Connection, journal: Path) -> bool:
    """Bring *journal* to our revision, in the transaction of *connection*; tell if it is new."""
    found = revision_of(connection)
    if found == REVISION:
        return False  # without Alembic, which takes a quarter of a second to import
    if found is not None and found > REVISION:
        raise trouble.of_other_release(journal, found, REVISION)
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with _ALEMBIC:
        command.upgrade(config, REVISION)
    return found is None


def require(connection: Connection, journal: Path) -> None:
    """Raise TroubleError unless *journal* has our revision."""
    found = revision_of(connection)
    if found is None:
        raise trouble.missing(journal)
    if found != REVISION:
        raise trouble.of_other_release(journal, found, REVISION)


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a journal; None: it has no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


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
    return Examined(path, found, size_bytes, sqlite.holder(path))


def holder(url: str) -> int | None:
    """Return the process of the daemon that works with the journal at *url*, or None."""
    try:
        return sqlite.holder(sqlite.path_of(url))
    except OSError:  # not for us, or no place where a journal could be
        return None
