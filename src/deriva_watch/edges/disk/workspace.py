"""The workspace databases of deriva-ml, with its records of executions and their assets.

`catalogs/<host>__<catalog>/working/main.db` beside `deriva-ml/` is the live WAL database of another
program. If it belongs to our user, we open it read-only in place. Opening creates `-shm` and `-wal`
files, so we copy the database of another user and open the copy.
"""

import json
import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.metadata.sources import FeatureRecord, Statement
from deriva_watch.core.os_errors import passing

_BUSY_S: Final = 1.0  # deriva-ml has priority
_COPY_TRIES: Final = 5
_TICK_S: Final = 0.02  # longer than the resolution of file times
_PARTS: Final = ("", "-wal", "-journal")  # the files of a database

_STATUSES: Final = "SELECT rid, status FROM execution_state__executions"
_ASSETS: Final = """
    SELECT key, asset_table, schema, asset_types, metadata, description, status, rid
    FROM execution_state__assets WHERE execution_rid = ?
"""
_RIDS: Final = """
    SELECT key, rid FROM execution_state__assets
    WHERE execution_rid = ? AND rid IS NOT NULL
"""
_HAS: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
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
    """Return the workspace databases beside `deriva-ml/`, if any.

    Raises:
        TransientError: The folder cannot be read.
    """
    found = []
    try:
        for folder in sorted((prefix / "catalogs").iterdir()):
            host, separator, catalog = folder.name.rpartition("__")
            path = folder / "working" / "main.db"
            if separator and _exists(path):
                found.append(Workspace(path, host, catalog))
    except (FileNotFoundError, NotADirectoryError):
        return found
    except OSError as error:
        raise _not_read(prefix / "catalogs", error) from error
    return found


@dataclass(frozen=True, slots=True)
class Workspace:
    """The workspace database of one catalog. Every call reads it again.

    All calls raise `TransientError` while it is unreadable, locked or damaged, and `RefusedError`
    if its schema is unknown.

    Attributes:
        path: Its main.db.
        host, catalog: The catalog of its executions.
    """

    path: Path
    host: str
    catalog: str

    def statuses(self) -> dict[str, str]:
        """Return the status of every execution in it, by RID."""
        with self._reading() as database:
            return dict(database.execute(_STATUSES).fetchall())

    def lists(self, rid: str) -> bool:
        """Return whether it has the execution."""
        return rid in self.statuses()

    def execution_status(self, rid: str) -> str | None:
        """Return the status of an execution, None if it is not in the database."""
        return self.statuses().get(rid)

    def assets(self, rid: str) -> dict[str, Statement]:
        """Return its records of the assets of an execution, by "<Table>/<file>"."""
        with self._reading() as database:
            rows = database.execute(_ASSETS, (rid,)).fetchall()
        try:
            return {row["key"]: _statement(row) for row in rows}
        except ValueError as error:
            raise _unknown(self.path, f"unexpected value: {error}") from error

    def features(self, rid: str) -> dict[str, tuple[FeatureRecord, ...]]:
        """Return the feature records of an execution by "<schema>.<table>", in order."""
        with self._reading() as database:
            if not database.execute(_HAS, ("execution_state__feature_records",)).fetchone():
                return {}
            rows = database.execute(_FEATURES, (rid,)).fetchall()
        found: dict[str, list[FeatureRecord]] = defaultdict(list)
        try:
            for row in rows:
                values = _json(row["record_json"], dict)
                is_in = row["status"] == "uploaded"
                record = FeatureRecord(row["stage_id"], row["feature_name"], values, is_in)
                found[row["feature_table"]].append(record)
        except ValueError as error:
            raise _unknown(self.path, f"a feature record is not JSON: {error}") from error
        return {table: tuple(records) for table, records in found.items()}

    def pending_rows(self, rid: str) -> int:
        """Return how many table rows of an execution deriva-ml has not uploaded yet."""
        with self._reading() as database:
            if not database.execute(_HAS, ("execution_state__pending_rows",)).fetchone():
                return 0
            return int(database.execute(_PENDING_ROWS, (rid,)).fetchone()[0])

    def write_back(
        self, rid: str, uploaded: Mapping[str, str], now: datetime, stages: Iterable[int] = ()
    ) -> dict[str, str]:
        """Mark assets of an execution as uploaded, as deriva-ml itself would.

        Args:
            rid: The execution.
            uploaded: RIDs of the rows by "<Table>/<file>".
            now: The value of `uploaded_at`.
            stages: The numbers of feature records that are in the catalog.

        Returns:
            The RIDs of assets that already had a different one; they were not changed.
        """
        with self._writing() as database:
            known = dict(database.execute(_RIDS, (rid,)).fetchall())
            conflicts = {
                key: known[key] for key, new in uploaded.items() if known.get(key, new) != new
            }
            database.executemany(
                _UPLOADED,
                [
                    {"execution": rid, "key": key, "rid": new, "now": now.isoformat()}
                    for key, new in uploaded.items()
                    if key not in conflicts
                ],
            )
            if staged := [
                {"execution": rid, "stage": stage, "now": now.isoformat()} for stage in stages
            ]:
                database.executemany(_FEATURE_UPLOADED, staged)
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
            return database.execute(_MOVE, values).rowcount == 1

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with ExitStack() as stack, _as_ours(self.path):
            path, mode = self.path, "ro"
            if not self._is_ours():
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                path, mode = _copy(self.path, Path(folder)), "rw"
            database = stack.enter_context(closing(_connect(path, mode)))
            database.execute("PRAGMA trusted_schema = OFF")
            database.execute("PRAGMA query_only = ON")
            yield database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _as_ours(self.path):
            if not self._is_ours():
                raise RefusedError(
                    f"cannot write to {self.path}",
                    "it belongs to another user",
                    "Run the daemon as that user, or set [deriva_ml] write_back = false.",
                )
            with closing(_connect(self.path, "rw")) as database:
                database.execute("BEGIN IMMEDIATE")
                with database:  # commits or rolls back
                    yield database

    def _is_ours(self) -> bool:
        return self.path.stat().st_uid == os.geteuid() and os.access(self.path.parent, os.W_OK)


def _exists(path: Path) -> bool:
    """Like Path.exists, but raises PermissionError for a folder that we may not search."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    database = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
    database.row_factory = sqlite3.Row
    return database


def _copy(path: Path, folder: Path) -> Path:
    """Copy a database that another program may be writing to, and return the copy.

    The copy is consistent if no file changed from one clock tick before the copy until after it.
    """
    for _ in range(_COPY_TRIES):
        before = _stamps(path)
        time.sleep(_TICK_S)
        for part in _PARTS:
            _copy_file(f"{path}{part}", folder / f"main.db{part}")
        if _stamps(path) == before:
            return folder / "main.db"
    raise _unreadable(path, "deriva-ml keeps writing to it")


def _copy_file(source: str, target: Path) -> None:
    target.unlink(missing_ok=True)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(source, flags)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as content, target.open("xb") as copy:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{source} is not a regular file")
        shutil.copyfileobj(content, copy)


def _stamps(path: Path) -> list[tuple[int, int, int] | None]:
    stamps: list[tuple[int, int, int] | None] = []
    for part in _PARTS:
        try:
            found = os.lstat(f"{path}{part}")
            stamps.append((found.st_size, found.st_mtime_ns, found.st_ino))
        except FileNotFoundError:
            stamps.append(None)
    return stamps


def _statement(row: sqlite3.Row) -> Statement:
    types, metadata = _json(row["asset_types"], list), _json(row["metadata"], dict)
    return Statement(
        "deriva-ml's workspace",
        row["asset_table"],
        schema=row["schema"],
        metadata=metadata or {},
        types=None if types is None else tuple(types),
        description=row["description"],
        rid=row["rid"],
        recorded=row["status"] == "uploaded" and bool(row["rid"]),
    )


def _json(text: str | None, wanted: type) -> Any:
    value = None if text is None else json.loads(text)
    if not isinstance(value, wanted | None):
        raise ValueError(f"{text!r} is not a {wanted.__name__}")  # noqa: TRY004 - as json.loads
    return value


@contextmanager
def _as_ours(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error).startswith(("no such table", "no such column")):
            raise _unknown(path, str(error)) from error
        raise _unreadable(path, str(error)) from error
    except sqlite3.Error as error:
        raise _unreadable(path, str(error)) from error
    except OSError as error:
        raise _not_read(path, error) from error


def _not_read(path: Path, error: OSError) -> TransientError:
    what = f"cannot use deriva-ml's workspace {path}"
    return passing(what, error) or TransientError(what, error.strerror or str(error))


def _unreadable(path: Path, why: str) -> TransientError:
    return TransientError(f"cannot use deriva-ml's workspace {path}", why)


def _unknown(path: Path, why: str) -> RefusedError:
    return RefusedError(
        f"cannot use deriva-ml's workspace {path}",
        f"it is not the database of a known version of deriva-ml ({why})",
        "Update deriva-watch, or tell its authors which version of deriva-ml you have.",
    )
