"""Which revision a journal has, and the way to ours."""

import threading
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from deriva_watch.edges.journal import trouble
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
