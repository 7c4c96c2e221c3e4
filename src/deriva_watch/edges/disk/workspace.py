"""The workspace databases of deriva-ml, with its records of executions and their assets.

`catalogs/<host>__<catalog>/working/main.db` beside `deriva-ml/` is the live WAL database of another
program. If it and its folders belong to our user, we open it read-only in place. Opening creates
`-shm` and `-wal` files, so we copy the database of another user and open the copy.

`find` tells who owns it without opening it: where it does not count, it must not do anything.
"""

import os
import sqlite3
import stat
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.json_text import read_json
from deriva_watch.core.metadata.sources import FeatureRecord, Statement
from deriva_watch.core.os_errors import passing
from deriva_watch.core.trust import OVERFLOW
from deriva_watch.core.unicode_forms import respelled
from deriva_watch.core.values import is_text
from deriva_watch.edges.disk.foreign_database import (
    PARTS,
    Copy,
    Database,
    check_owner,
    not_read,
    reading,
    unknown,
    writing,
)

_FEATURE_TABLE: Final = "execution_state__feature_records"
_ROW_TABLE: Final = "execution_state__pending_rows"
CATALOGS: Final = "catalogs"
_WORKING, _FILE = "working", "main.db"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SHOWN: Final = 80  # characters of a value in a sentence
_TABLES: Final = (
    "execution_state__executions",
    "execution_state__assets",
    _FEATURE_TABLE,
    _ROW_TABLE,
)

_STATUSES: Final = "SELECT rid, status FROM execution_state__executions"
_ASSETS: Final = """
    SELECT key, asset_table, schema, asset_types, metadata, description, status, rid
    FROM execution_state__assets WHERE execution_rid = ?
"""
_RECORDED: Final = """
    SELECT key, CASE status WHEN 'uploaded' THEN rid END AS rid FROM execution_state__assets
    WHERE execution_rid = ?
"""
_FEATURES: Final = """
    SELECT stage_id, feature_table, feature_name, record_json, status
    FROM execution_state__feature_records WHERE execution_rid = ? ORDER BY stage_id
"""
_FEATURE_UPLOADED: Final = """
    UPDATE execution_state__feature_records
    SET status = 'uploaded', uploaded_at = :now, error = NULL
    WHERE execution_rid = :execution AND stage_id = :stage AND status <> 'uploaded'
"""
_PENDING_ROWS: Final = """
    SELECT count(*) FROM execution_state__pending_rows
    WHERE execution_rid = ? AND status <> 'uploaded'
"""
_UPLOADED: Final = """
    UPDATE execution_state__assets
    SET status = 'uploaded', rid = :rid, uploaded_at = :now, updated_at = :now, error = NULL
    WHERE execution_rid = :execution AND key = :key AND status <> 'uploaded'
"""
_MOVE: Final = """
    UPDATE execution_state__executions
    SET status = :new, sync_pending = :sync_pending, last_activity = :now
    WHERE rid = :rid AND status = :old
"""


def find(prefix: Path) -> list["Workspace"]:
    """Return the workspace databases beside `deriva-ml/`, if any; none of them is opened.

    Raises:
        NotListedError: Their folder cannot be listed.
        TransientError: The disk fails, which says nothing about the folder.
    """
    top, found = prefix / CATALOGS, []
    try:
        for folder in sorted(top.iterdir()):
            host, separator, catalog = folder.name.rpartition("__")
            if separator and (owners := _owners(folder)):
                found.append(Workspace(folder / _WORKING / _FILE, host, catalog, owners))
    except (FileNotFoundError, NotADirectoryError):
        return found
    except OSError as error:
        trouble, owner = not_read(top, error), _owner(top)
        if owner is None or passing(trouble.what, error):
            raise trouble from error
        raise NotListedError(trouble.what, trouble.why, owner=owner) from error
    return found


@dataclass(eq=False)
class NotListedError(TransientError):
    """The folder `catalogs` cannot be listed, and that is its own fault, or its owner's."""

    owner: int = OVERFLOW


@dataclass(frozen=True, slots=True)
class Workspace:
    """The workspace database of one catalog. Every call reads it again.

    All calls raise `TransientError` while it is unreadable, locked or damaged, and `RefusedError`
    if its schema is unknown.

    Attributes:
        path: Its main.db.
        host, catalog: The catalog of its executions.
        owners: The users who own its files and folders: each of them can have written what it says.
    """

    path: Path
    host: str
    catalog: str
    owners: frozenset[int]

    def statuses(self) -> dict[str, str]:
        """Return the status of every execution in it, by RID."""
        with self._reading() as database:
            rows = database.rows(_STATUSES)
        with self._expected():
            return {_text(rid): _text(status) for rid, status in rows}

    def lists(self, rid: str) -> bool:
        """Return whether it has the execution."""
        return rid in self.statuses()

    def execution_status(self, rid: str) -> str | None:
        """Return the status of an execution, None if it is not in the database."""
        return self.statuses().get(rid)

    def assets(self, rid: str) -> dict[str, Statement]:
        """Return its records of the assets of an execution, by "<Table>/<file>"."""
        with self._reading() as database:
            rows = database.rows(_ASSETS, (rid,))
        with self._expected():
            return {_text(row["key"]): _statement(row) for row in rows}

    def features(self, rid: str) -> dict[str, tuple[FeatureRecord, ...]]:
        """Return the feature records of an execution by "<schema>.<table>", in order."""
        with self._reading() as database:
            rows = database.rows(_FEATURES, (rid,)) if database.has(_FEATURE_TABLE) else []
        found: dict[str, list[FeatureRecord]] = defaultdict(list)
        with self._expected("feature record"):
            for row in rows:
                found[_text(row["feature_table"])].append(_record(row))
        return {table: tuple(records) for table, records in found.items()}

    def pending_rows(self, rid: str) -> int:
        """Return how many table rows of an execution deriva-ml has not uploaded yet."""
        with self._reading() as database:
            return database.rows(_PENDING_ROWS, (rid,))[0][0] if database.has(_ROW_TABLE) else 0

    def write_back(
        self, rid: str, uploaded: Mapping[str, str], now: datetime, stages: Iterable[int] = ()
    ) -> dict[str, str]:
        """Mark assets of an execution as uploaded, as deriva-ml itself would.

        A RID that deriva-ml only leased gives way: its row was in the catalog with another one.

        Args:
            rid: The execution.
            uploaded: RIDs of the rows by "<Table>/<file>", in any Unicode form.
            now: The value of `uploaded_at`.
            stages: The numbers of feature records that are in the catalog.

        Returns:
            The RIDs of assets that were uploaded before as another row; they were not changed.
        """
        with self._writing() as database:
            known = {row["key"]: row["rid"] for row in database.rows(_RECORDED, (rid,))}
            other = respelled(uploaded, known)
            named = {other.get(key, key): new for key, new in uploaded.items()}
            conflicts = {
                key: known[key] for key, new in named.items() if (known.get(key) or new) != new
            }
            database.change(
                _UPLOADED,
                [
                    {"execution": rid, "key": key, "rid": new, "now": now.isoformat()}
                    for key, new in named.items()
                    if key not in conflicts
                ],
            )
            if staged := [
                {"execution": rid, "stage": stage, "now": now.isoformat()} for stage in stages
            ]:
                database.change(_FEATURE_UPLOADED, staged)
        return conflicts

    def set_status(
        self, rid: str, old: str, new: str, *, sync_pending: bool, now: datetime
    ) -> bool:
        """Set the status of an execution to *new* if it is *old*; return whether it was.

        deriva-ml sets the status here with *sync_pending*, then in the catalog, then clears the
        flag (`old` equal to `new`). If it is interrupted in between, it completes this later.
        """
        with self._writing() as database:
            values = {
                "rid": rid,
                "old": old,
                "new": new,
                "sync_pending": sync_pending,
                "now": f"{now:%Y-%m-%d %H:%M:%S.%f}",  # the format in which SQLAlchemy stores times
            }
            return database.change(_MOVE, [values]) == 1

    @contextmanager
    def _reading(self) -> Iterator[Database]:
        with ExitStack() as stack:
            copy = None
            if not self._is_ours():
                target = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                copy = Copy(stack.enter_context(self._folder()), self.owners, target)
            yield stack.enter_context(reading(self.path, _TABLES, copy))

    @contextmanager
    def _folder(self) -> Iterator[int]:
        """Open the folder that it is in; no link is followed, and it has the known owners."""
        with ExitStack() as stack:
            try:
                folder = os.open(self.path.parents[2], _FOLDER)
                stack.callback(os.close, folder)
                for name in self.path.parts[-3:-1]:
                    folder = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                    stack.callback(os.close, folder)
                    check_owner(folder, self.owners)
            except OSError as error:
                raise not_read(self.path, error) from error
            yield folder

    @contextmanager
    def _writing(self) -> Iterator[Database]:
        if not self._is_ours():
            raise RefusedError(
                f"cannot write to {self.path}",
                "it, or a folder that it is in, belongs to another user",
                "Run the daemon as that user, or set [deriva_ml] write_back = false.",
            )
        with writing(self.path, _TABLES) as database:
            yield database

    @contextmanager
    def _expected(self, what: str = "value") -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise unknown(self.path, f"unexpected {what}: {error}") from error

    def _is_ours(self) -> bool:
        """Return whether nobody but our user and root could put another file in its place."""
        try:
            owner = self.path.stat().st_uid
            owners = self.owners | {self.path.parents[2].stat().st_uid}
        except OSError as error:
            raise not_read(self.path, error) from error
        is_ours = owner == os.geteuid() and owners <= {owner, 0}
        return is_ours and os.access(self.path.parent, os.W_OK)


def _owner(path: Path) -> int | None:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def _owners(folder: Path) -> frozenset[int]:
    """Return the owners of a workspace and of the folders that it is in; none: there is none.

    Raises OSError.
    """
    top, working, owners = os.lstat(folder.parent), folder / _WORKING, set[int]()
    if stat.S_ISLNK(top.st_mode):  # who made the link says that these are the workspaces here
        owners.add(top.st_uid)
    owners.add(os.lstat(folder).st_uid)
    try:
        owners |= {os.lstat(working).st_uid, os.lstat(working / _FILE).st_uid}
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except PermissionError:
        return frozenset(owners)  # it may be there: who can read it finds out
    for part in PARTS:
        with suppress(FileNotFoundError):
            owners.add(os.lstat(f"{working / _FILE}{part}").st_uid)
    return frozenset(owners)


def _statement(row: sqlite3.Row) -> Statement:
    types, metadata = _json(row["asset_types"], list), _json(row["metadata"], dict)
    rid = _text_or_none(row["rid"])
    return Statement(
        "deriva-ml's workspace",
        _text(row["asset_table"]),
        schema=_text_or_none(row["schema"]),
        metadata=metadata or {},
        types=None if types is None else tuple(map(_text, types)),
        description=_text_or_none(row["description"]),
        rid=rid,
        recorded=row["status"] == "uploaded" and bool(rid),
    )


def _record(row: sqlite3.Row) -> FeatureRecord:
    stage, values = row["stage_id"], _json(row["record_json"], dict)
    if not isinstance(stage, int) or values is None:
        raise ValueError(f"feature record {stage!r}")
    return FeatureRecord(stage, _text(row["feature_name"]), values, row["status"] == "uploaded")


def _text(value: Any) -> str:
    """Return *value*; SQLite stores any type in any column."""
    if not isinstance(value, str) or not is_text(value):
        raise ValueError(f"{str(value)[:_SHOWN]!r} is not a text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _json(text: Any, wanted: type) -> Any:
    value = None if text is None else read_json(_text(text))
    if not isinstance(value, wanted | None):
        raise ValueError(f"{text[:_SHOWN]!r} is not a {wanted.__name__}")  # noqa: TRY004
    return value
