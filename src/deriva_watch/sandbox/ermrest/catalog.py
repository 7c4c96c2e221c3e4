"""The catalog on disk: its model, rows and transactions."""

import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from deriva_watch.sandbox.database import Database
from deriva_watch.sandbox.ermrest import moments, rid
from deriva_watch.sandbox.ermrest.model import Model
from deriva_watch.sandbox.ermrest.refusals import refused
from deriva_watch.sandbox.identity import Client


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request, and when its transaction began (monotonic clock)."""

    client: Client | None
    begun_ns: int


class Catalog:
    """One catalog.

    Args:
        file: Its database, already filled by ``founding.found``.
    """

    def __init__(self, file: Path) -> None:
        self._database = Database(file, prepare=_register_functions)
        meta = dict(self._database.reader().execute("SELECT key, value FROM meta").fetchall())
        self.id: str = meta["id"]
        self.document: dict[str, Any] = orjson.loads(meta["document"])
        self.model = Model(self.document)
        self.changed_at = datetime.now(
            UTC
        )  # when something was last written; also set by a restart

    def read(self, sql: str, parameters: Iterable[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query; it sees committed rows and does not block writers."""
        return self._database.reader().execute(sql, tuple(parameters)).fetchall()

    @contextmanager
    def change(self, caller: Caller, *, rebuild: bool = False) -> Iterator["Change"]:
        """Hold a write transaction; with *rebuild* it may rebuild tables.

        Raises:
            RefusedError: 503, another write was committed after this one had
                begun. Measured: ERMrest runs its transactions serializable, every
                write touches one common table, and the server does not retry, so that
                of overlapping writes only the first to commit is stored, whatever
                tables they are for.
        """
        with self._database.writing(rebuild=rebuild) as connection:
            if self._database.committed_ns > caller.begun_ns:
                raise refused(503, "Transaction aborted.")
            # PostgreSQL checks references after the statement, which is several statements here.
            connection.execute("PRAGMA defer_foreign_keys = ON")
            change = Change(connection, caller.client)
            yield change
        self.changed_at = max(change.moment, self.changed_at)

    @contextmanager
    def remodel(self, caller: Caller, document: dict[str, Any]) -> Iterator[tuple["Change", Model]]:
        """Hold a write transaction that makes *document* the model.

        Yields:
            The change, and the new model.
        """
        model = Model(document)
        with self.change(caller, rebuild=True) as change:
            yield change, model
            text = orjson.dumps(document).decode()
            change.connection.execute("UPDATE meta SET value = ? WHERE key = 'document'", (text,))
        self.document, self.model = document, model

    def set_acl(self, access: str, members: list[str]) -> None:
        """Replace one of the catalog's own ACLs permanently."""
        acls = {**self.document["acls"], access: members}
        document = orjson.dumps({**self.document, "acls": acls}).decode()
        with self._database.writing() as connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'document'", (document,))
        self.document["acls"][access] = members  # the model shares this object

    def version(self) -> str:
        """Return a token that changes whenever the model or its ACLs change."""
        return f"model {zlib.crc32(orjson.dumps(self.document)):08x}"

    def snaptime(self) -> str:
        """Return the identifier of the catalog's present state."""
        return rid.encode(int(self.changed_at.timestamp() * 1_000_000))


class Change:
    """A write transaction.

    Attributes:
        moment: The time that all its rows carry.
    """

    def __init__(self, connection: sqlite3.Connection, client: Client | None) -> None:
        self.connection = connection
        self.client_id = client.id if client else None
        self.moment = datetime.now(UTC)
        self.stamp = moments.shown(self.moment)

    def issue_rids(self, count: int) -> list[str]:
        """Take *count* RIDs from the sequence."""
        sql = "UPDATE meta SET value = value + ? WHERE key = 'next_rid' RETURNING value"
        (following,) = self.connection.execute(sql, (count,)).fetchone()
        return rid.issue(int(following) - count, count)

    def skip_rids(self, rids: Iterable[str]) -> None:
        """Continue the sequence above *rids*, which a client has sent."""
        highest = max((rid.decode(each) for each in rids), default=0)
        self.connection.execute(
            "UPDATE meta SET value = max(CAST(value AS INTEGER), ?) WHERE key = 'next_rid'",
            (highest // 2 + 1,),
        )


def _register_functions(connection: sqlite3.Connection) -> None:
    def matches(pattern: str, text: str | None) -> bool | None:
        return None if text is None else re.search(pattern, str(text)) is not None

    connection.create_function("regexp", 2, matches, deterministic=True)
