"""The database of all names, versions and jobs."""
# ruff: noqa: S608 - the identifiers in SQL are quoted and come from the model

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson

from deriva_watch.sandbox.database import Database
from deriva_watch.sandbox.hatrac.metadata import Metadata
from deriva_watch.sandbox.hatrac.names import PREFIX, lineage
from deriva_watch.sandbox.hatrac.resources import Acls, Content, Creation, Name
from deriva_watch.sandbox.identity import OWNER, WRITER, Client
from deriva_watch.sandbox.refusal import RefusedError

WRITER_ACCESS: Final = ("create", "subtree-create", "subtree-read", "subtree-update")
TABLES: Final = """
CREATE TABLE IF NOT EXISTS name (
  name TEXT PRIMARY KEY, parent TEXT, is_object INTEGER, is_deleted INTEGER, acls TEXT);
CREATE INDEX IF NOT EXISTS name_parent ON name (parent);
CREATE TABLE IF NOT EXISTS version (
  serial INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT, nbytes INTEGER, metadata TEXT,
  owner TEXT, chunk_bytes INTEGER);
CREATE INDEX IF NOT EXISTS version_name ON version (name);
CREATE TABLE IF NOT EXISTS job (
  serial INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT, nbytes INTEGER, metadata TEXT,
  owner TEXT, chunk_bytes INTEGER);
CREATE INDEX IF NOT EXISTS job_name ON job (name);
"""


class Directory:
    """The names of one server.

    Args:
        file: The database; created if it is not there.

        namespaces: Namespaces below the root in which the writer may create objects;
            made when the database is new.
    """

    def __init__(self, file: Path, namespaces: Iterable[str] = ()) -> None:
        self._database = Database(file)
        self._made_ns: dict[str, int] = {}  # when namespaces were made by this process
        with self._database.writing() as connection:
            for statement in TABLES.split(";"):
                connection.execute(statement)
            if _look(connection, "") is not None:
                return
            # The writer may make its own namespaces, but has no rights in those of others.
            root: Acls = {"owner": [OWNER], "subtree-owner": [OWNER], "create": [WRITER]}
            _store_name(connection, Name("", is_object=False, is_deleted=False, acls=root))
            acls: Acls = {"owner": [OWNER], **{access: [WRITER] for access in WRITER_ACCESS}}
            for name in sorted(set(namespaces)):
                made = Name(f"/{name}", is_object=False, is_deleted=False, acls=acls)
                _store_name(connection, made)

    def find(self, name: str) -> Name:
        """Return a namespace or object.

        Raises:
            RefusedError: 404, there is none, or it was deleted.
        """
        found = _look(self._database.reader(), name)
        if found is None or found.is_deleted:
            raise _missing(name)
        return found

    def create(self, name: str, creation: Creation) -> Name:
        """Make a namespace, or an object without content.

        Raises:
            RefusedError: 409, the name is or was in use; 404, no namespace above;
                403 or 401; 500, another request made the same missing namespace in
                the meantime (measured: the server violates its own unique key).
        """
        with self._database.writing() as connection:
            return self._create(connection, name, creation)

    def _create(self, connection: sqlite3.Connection, name: str, creation: Creation) -> Name:
        above, _, last = name.rpartition("/")
        if last in {".", ".."}:
            raise RefusedError(400, f'Illegal name "{last}".')
        found = _look(connection, name)
        if found:
            state = "not available" if found.is_deleted else "already in use"
            raise RefusedError(409, f"Name {found} {state}.")
        parent = self._parent(connection, above, creation)
        parent.enforce(creation.client, "owner", "create")
        owner = [creation.client.id] if creation.client else []
        above_it = (*parent.above, parent)
        made = Name(
            name, creation.is_object, is_deleted=False, acls={"owner": owner}, above=above_it
        )
        _store_name(connection, made)
        if not made.is_object:
            self._made_ns[name] = time.monotonic_ns()
        return made

    def _parent(self, connection: sqlite3.Connection, name: str, creation: Creation) -> Name:
        found = _look(connection, name)
        if found is None or found.is_deleted:
            if not creation.parents:
                raise _missing(name)
            return self._create(connection, name, replace(creation, is_object=False))
        if found.is_object:
            raise RefusedError(409, f"Parent {found} is not a namespace.")
        if creation.parents and self._made_ns.get(name, 0) > creation.arrived_ns:
            text = 'duplicate key value violates unique constraint "name_name_key"'
            raise RefusedError(500, f"{text}\nDETAIL:  Key (name)=({name}) already exists.")
        return found

    def children(self, name: str) -> list[str]:
        """Return the names directly below a namespace."""
        sql = "SELECT name FROM name WHERE parent = ? AND NOT is_deleted ORDER BY name"
        return [row[0] for row in self._database.reader().execute(sql, (name,))]

    def set_acl(self, name: Name, access: str, members: list[str]) -> None:
        """Replace one ACL."""
        acls = orjson.dumps({**name.acls, access: members}).decode()
        with self._database.writing() as connection:
            connection.execute("UPDATE name SET acls = ? WHERE name = ?", (acls, name.name))

    def delete(self, client: Client | None, name: Name) -> list[Content]:
        """Delete a name with everything below it; return the deleted contents.

        The names can never be used again.

        Raises:
            RefusedError: 403 or 401, something below belongs to somebody else.
        """
        with self._database.writing() as connection:
            below = (f"{name.name}/", f"{name.name}0")  # "0" follows "/"
            sql = "SELECT name FROM name WHERE name >= ? AND name < ? AND NOT is_deleted"
            names = [name.name, *(row[0] for row in connection.execute(sql, below))]
            gone: list[Content] = []
            for each in names:
                found = _look(connection, each)
                if found:
                    found.enforce(client, "owner")
                gone += [*_contents(connection, "version", each)]
                gone += [*_contents(connection, "job", each)]
                for table in ("version", "job"):
                    connection.execute(f"DELETE FROM {table} WHERE name = ?", (each,))
                connection.execute("UPDATE name SET is_deleted = 1 WHERE name = ?", (each,))
        return gone

    def versions(self, name: str) -> list[Content]:
        """Return the versions of an object, the newest first."""
        return _contents(self._database.reader(), "version", name)

    def version(self, name: str, version: str | None) -> Content:
        """Return a version of an object, or the newest.

        Raises:
            RefusedError: 404, there is no such version; 409, there is none at all.
        """
        for content in self.versions(name):
            if version in (None, content.id):
                return content
        if version is None:
            raise RefusedError(409, f"Object {PREFIX}{name} currently has no content.")
        raise RefusedError(404, f"Resource {PREFIX}{name}:{version} not found.")

    def add_version(self, content: Content) -> None:
        """Add a version whose content is on disk."""
        with self._database.writing() as connection:
            _store_content(connection, "version", content)

    def set_metadata(self, content: Content, metadata: Metadata) -> None:
        """Replace the metadata of a version."""
        text = orjson.dumps(metadata).decode()
        with self._database.writing() as connection:
            connection.execute("UPDATE version SET metadata = ? WHERE id = ?", (text, content.id))

    def delete_version(self, content: Content) -> None:
        """Delete one version."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM version WHERE id = ?", (content.id,))

    def jobs(self, name: str) -> list[Content]:
        """Return the open jobs of an object, the oldest first. They never expire."""
        return _contents(self._database.reader(), "job", name)[::-1]

    def job(self, name: str, job: str) -> Content:
        """Return an open job.

        Raises:
            RefusedError: 404, there is none: unknown, finished or cancelled.
        """
        for content in self.jobs(name):
            if content.id == job:
                return content
        raise _missing(f"{name};upload/{job}")

    def open_job(self, job: Content) -> None:
        """Add a job."""
        with self._database.writing() as connection:
            _store_content(connection, "job", job)

    def close_job(self, job: Content, version: Content | None) -> None:
        """Delete a job; with a *version*, add that in the same transaction.

        Raises:
            RefusedError: 404, another request was faster.
        """
        with self._database.writing() as connection:
            if not connection.execute("DELETE FROM job WHERE id = ?", (job.id,)).rowcount:
                raise _missing(f"{job.name};upload/{job.id}")
            if version:
                _store_content(connection, "version", version)


def _missing(name: str) -> RefusedError:
    return RefusedError(404, f"Resource {PREFIX}{name} not found.")


def _look(connection: sqlite3.Connection, name: str) -> Name | None:
    line = lineage(name)
    sql = f"SELECT * FROM name WHERE name IN ({', '.join('?' * len(line))})"
    rows = {row["name"]: row for row in connection.execute(sql, line)}
    above: tuple[Name, ...] = ()
    for each in line:
        if each not in rows:
            return None
        row = rows[each]
        acls = orjson.loads(row["acls"])
        above = (*above, Name(each, bool(row["is_object"]), bool(row["is_deleted"]), acls, above))
    return above[-1]


def _store_name(connection: sqlite3.Connection, name: Name) -> None:
    parent = name.name.rpartition("/")[0] if name.name else None
    connection.execute(
        "INSERT INTO name VALUES (?, ?, ?, ?, ?)",
        (name.name, parent, name.is_object, name.is_deleted, orjson.dumps(name.acls).decode()),
    )


def _contents(connection: sqlite3.Connection, table: str, name: str) -> list[Content]:
    sql = f"SELECT * FROM {table} WHERE name = ? ORDER BY serial DESC"
    return [
        Content(
            row["id"],
            row["name"],
            row["nbytes"],
            orjson.loads(row["metadata"]),
            row["owner"],
            row["chunk_bytes"],
        )
        for row in connection.execute(sql, (name,))
    ]


def _store_content(connection: sqlite3.Connection, table: str, content: Content) -> None:
    connection.execute(
        f"INSERT INTO {table} (id, name, nbytes, metadata, owner, chunk_bytes)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            content.id,
            content.name,
            content.nbytes,
            orjson.dumps(content.metadata).decode(),
            content.owner,
            content.chunk_bytes,
        ),
    )
