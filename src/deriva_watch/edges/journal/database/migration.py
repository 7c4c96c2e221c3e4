"""Bring a journal to the schema of this release."""

import threading
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert, inspect, select

from deriva_watch.edges.journal import problems
from deriva_watch.edges.journal.schema import REVISION, metadata, revision

_SCRIPTS: Final = Path(__file__).with_name("migrations")
# Alembic keeps its state in modules, and two threads may each open a journal.
_ALEMBIC: Final = threading.Lock()


def migrate(connection: Connection, journal: Path) -> bool:
    """Give *journal* today's tables, in the transaction of *connection*; return True if it is new.

    Raises TroubleError if a newer release wrote it.
    """
    found = revision_of(connection)
    if found is None:
        metadata.create_all(connection)
        revision.create(connection)
        connection.execute(insert(revision), {"version_num": REVISION})
    elif found > REVISION:
        raise problems.other_release(journal, found, REVISION)
    elif found < REVISION:
        _upgrade(connection)
    return found is None


def _upgrade(connection: Connection) -> None:
    from alembic import command  # takes a quarter of a second to import, and is rarely needed
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    with _ALEMBIC:
        command.upgrade(config, REVISION)


def require_revision(connection: Connection, journal: Path) -> None:
    """Raise TroubleError unless *journal* has the schema of this release."""
    found = revision_of(connection)
    if found is None:
        raise problems.missing(journal)
    if found != REVISION:
        raise problems.other_release(journal, found, REVISION)


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a journal; None if it has no tables yet."""
    if not inspect(connection).has_table(revision.name):
        return None
    found: str | None = connection.scalar(select(revision.c.version_num))
    return found
