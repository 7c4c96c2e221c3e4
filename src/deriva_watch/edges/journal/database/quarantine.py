"""A damaged journal is renamed, and the new journal records that it replaces it.

Only the holder of the lock does this. After a crash at any moment the next start still finds the
damaged journal: it has its new name before the new journal has tables.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert

from deriva_watch.core.records import DamagedJournal
from deriva_watch.edges.journal.schema import damaged_journal

_MARK: Final = ".damaged-"
_COMPANIONS: Final = ("-wal", "-shm")  # renamed last: SQLite uses them only with their database


def rename_damaged(journal: Path, now: datetime, inode: int | None = None) -> None:
    """Rename a damaged journal; the new name contains the time.

    With *inode*: if the journal is gone or another file has its name, leave that alone and create
    an empty file in place of the damaged one.
    """
    renamed = journal.with_name(f"{journal.name}{_MARK}{now:%Y%m%dT%H%M%S.%fZ}")
    if inode is not None and inode_of(journal) != inode:
        renamed.touch(mode=0o600)
        return
    for end in ("", *_COMPANIONS):
        part = journal.with_name(journal.name + end)
        if part.exists():
            part.rename(renamed.with_name(renamed.name + end))


def inode_of(journal: Path) -> int | None:
    """Return the inode number of the file *journal*, or None if there is none."""
    try:
        return journal.stat().st_ino
    except FileNotFoundError:
        return None


def record_damaged(
    connection: Connection, journal: Path, now: datetime, why: str | None
) -> list[DamagedJournal]:
    """Record in a new *journal* the damaged ones beside it, and return them.

    *why* is the damage of the last one, if known.
    """
    found = sorted(_damaged(journal))
    reasons = dict.fromkeys(found, "it was damaged")
    if found and why:
        reasons[found[-1]] = why
    damaged = [DamagedJournal(now, str(path), reasons[path]) for path in found]
    if damaged:
        rows = [{"at": each.at, "path": each.path, "why": each.why} for each in damaged]
        connection.execute(insert(damaged_journal), rows)
    return damaged


def _damaged(journal: Path) -> Iterator[Path]:
    for path in journal.parent.iterdir():
        if path.name.startswith(journal.name + _MARK) and not path.name.endswith(_COMPANIONS):
            yield path
