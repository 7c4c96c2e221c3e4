"""A journal that is damaged is set aside, and the one that comes after it knows of it.

Only the holder of the lock does this. A crash at any moment leaves one that can be told: the file
that is set aside lies beside a journal that has no tables yet.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, insert

from deriva_watch.core.records import SetAside
from deriva_watch.edges.journal.schema import set_aside

_MARK: Final = ".damaged-"
_BESIDE: Final = ("-wal", "-shm")  # after the database: without it SQLite takes neither for its own


def put_away(journal: Path, now: datetime, inode: int | None = None) -> None:
    """Give a damaged journal another name, which tells when.

    With *inode* another file under its name is left alone, and an empty one stands for what is
    gone.
    """
    away = journal.with_name(f"{journal.name}{_MARK}{now:%Y%m%dT%H%M%S.%fZ}")
    if inode is not None and inode_of(journal) != inode:
        away.touch(mode=0o600)
        return
    for end in ("", *_BESIDE):
        part = journal.with_name(journal.name + end)
        if part.exists():
            part.rename(away.with_name(away.name + end))


def inode_of(journal: Path) -> int | None:
    """Return the number of the file that has the name of *journal* now, or None."""
    try:
        return journal.stat().st_ino
    except FileNotFoundError:
        return None


def remember(
    connection: Connection, journal: Path, now: datetime, why: str | None
) -> list[SetAside]:
    """Write into a new *journal* which ones it comes after; *why* is known of the last one."""
    found = sorted(_put_away(journal))
    reasons = dict.fromkeys(found, "it was damaged")
    if found and why:
        reasons[found[-1]] = why
    made = [SetAside(now, str(path), reasons[path]) for path in found]
    if made:
        rows = [{"at": each.at, "path": each.path, "why": each.why} for each in made]
        connection.execute(insert(set_aside), rows)
    return made


def _put_away(journal: Path) -> Iterator[Path]:
    for path in journal.parent.iterdir():
        if path.name.startswith(journal.name + _MARK) and not path.name.endswith(_BESIDE):
            yield path
