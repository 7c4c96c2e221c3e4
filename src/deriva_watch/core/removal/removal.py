"""May a file that is uploaded be removed from its folder? What must hold, and what is told if not.

A file goes only if its bytes, read again at that moment, are in an object that a row stands for,
asked for at that moment. Whatever cannot be known keeps it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

from deriva_watch.core.completeness.coverage import key_of
from deriva_watch.core.completeness.observation import Entry, Kind, Observation
from deriva_watch.core.layout import place
from deriva_watch.core.names import CONTENT_PATH
from deriva_watch.core.objects import ObjectVersion
from deriva_watch.core.records import FileRecord
from deriva_watch.core.states import FileState

CLOCKS_DIFFER: Final = timedelta(minutes=5)
_NAME_BYTES: Final = 255  # the longest name of a Linux file
_HOLDING: Final = {FileState.UNMATCHED, FileState.IGNORED, FileState.REFUSED}


@dataclass(frozen=True, slots=True)
class Uptime:
    """How long this host has been on, as far as a journal saw it.

    Attributes:
        boot: Which start of the host it was seen in.
        boot_s: How long ago that start was then, asleep or awake: nobody can set this clock.
        total_s: How long it has been on since the journal began.
    """

    boot: str
    boot_s: float
    total_s: float

    def later(self, boot: str, boot_s: float) -> "Uptime":
        """Return what it is now; the time that the host was off does not count."""
        passed_s = boot_s - self.boot_s if boot == self.boot else boot_s
        return Uptime(boot, boot_s, self.total_s + max(0.0, passed_s))


@dataclass(frozen=True, slots=True)
class Going:
    """A file that may go.

    Attributes:
        file: As the journal has it.
        place: Path of the regular file that goes, below the unit's own folder.
        links: Paths of the links there that lead to it, and to nothing once it is gone.
    """

    file: FileRecord
    place: str
    links: tuple[str, ...] = ()

    @classmethod
    def begun(cls, file: FileRecord) -> "Going":
        """Return what was written down of a file whose removal was begun."""
        known = file.removal or {}
        return cls(file, known.get("place", file.path), tuple(known.get("links", ())))

    @property
    def names(self) -> tuple[str, ...]:
        """All paths at which it is seen."""
        return tuple(dict.fromkeys((self.file.path, self.place, *self.links)))

    def note(self, to: str | None = None) -> dict[str, Any]:
        """Return what the journal keeps of its removal; *to* is where it was moved."""
        more = {"place": self.place, "links": list(self.links)}
        return {"to": to} | (more if self.names != (self.file.path,) else {})


def going(
    file: FileRecord, seen: Observation, root: str, names: Mapping[tuple[int, int], Sequence[str]]
) -> Going | str:
    """Return what goes of a file of an execution directory, or say why it stays.

    Args:
        file: A file that is seen.
        seen: The directory.
        root: Where that really is, without links.
        names: The paths that are seen, by the file they lead to.
    """
    entry, place = seen.entries[file.path], file.path
    if entry.link:
        place = (entry.target or "").removeprefix(f"{root}/")
        there = seen.entries.get(place)
        if there is None or there.link or there.kind is not Kind.CONTENT:
            return f"it is a link to {entry.target}, which is no file of this directory"
    links = (path for path in names[entry.identity] if seen.entries[path].link)
    return Going(file, place, tuple(sorted(links)))


def by_identity(seen: Observation) -> dict[tuple[int, int], list[str]]:
    """Return the paths that are seen by the file that they lead to."""
    found: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for path, entry in seen.entries.items():
        found[entry.identity].append(path)
    return found


def removed_names(records: Iterable[FileRecord]) -> frozenset[str]:
    """Return the paths of all that was removed here: who names them does not miss them.

    Manifest and workspace name a file as if it lay in `assets/`.
    """
    gone = (Going.begun(record) for record in records if record.state is FileState.REMOVED)
    names = {name for each in gone for name in each.names}
    flat = {f"assets/{key_of(where.part)}" for name in names if (where := place(name))}
    return frozenset(names | flat)


def age(since: datetime, now: datetime, server_now: datetime | None) -> timedelta:
    """Return how long ago *since* was at the least.

    A clock of this host that was set forward makes nothing older: the server's counts as well, as
    far as two clocks that are right may differ.
    """
    return min(now, server_now + CLOCKS_DIFFER if server_now else now) - since


def objection(record: FileRecord) -> str | None:
    """Say why a file, as the journal has it, must stay where it is, or None."""
    if record.state is not FileState.LINKED:
        return f"it is {record.state}, not linked"
    if record.rows is not None or not (record.url and record.rid and record.table):
        return "no object of the server holds its bytes"
    if not (record.md5 and record.sha256):
        return "its digests are not known"
    if CONTENT_PATH in (record.names or {}):
        return "what was sent is made of it, and is another content"
    return None


def holding(
    records: Iterable[FileRecord], seen: Observation, markers: Collection[str] = ()
) -> str | None:
    """Return the first file for whose sake nothing beside it may be removed, or None.

    It is not in the catalog, and what lies beside it may be all that tells what it is. *markers*
    say that their writer is done, and nothing else.
    """
    states = {record.path: record.state for record in records}
    left = sorted(path for path in seen.entries if states.get(path) in _HOLDING)
    left += sorted(path for path, e in seen.entries.items() if e.kind is not Kind.CONTENT)
    left += sorted(seen.unreadable)
    return next((path for path in left if path not in markers), None)


def differences(
    record: FileRecord, row: Mapping[str, Any] | None, there: ObjectVersion | None
) -> Iterator[str]:
    """Say in what the server does not hold what was uploaded; nothing where it does.

    Args:
        record: The file.
        row: The row with its RID, as it is now.
        there: Its object version, as it is now.
    """
    if row is None:
        yield f"its row {record.rid} is not in {record.table} any more"
    said = {"URL": record.url, "MD5": record.md5, "Length": record.size_bytes}
    for column, value in said.items():
        if row is not None and row.get(column) != value:
            yield f"row {record.rid} says {column} = {row.get(column)!r}, not {value!r}"
    if there is None:
        yield f"its object {record.url} is gone"
    elif there.md5 is None:
        yield f"its object {record.url} does not say what it holds (no MD5)"
    elif (there.md5, there.size_bytes) != (record.md5, record.size_bytes):
        yield f"its object {record.url} is another content"


def without(seen: Observation, paths: Iterable[str]) -> Observation:
    """Return a look as it is once *paths* are removed: to remove them is no change of the unit."""
    left = seen.entries.keys() - set(paths)
    return replace(seen, entries={path: seen.entries[path] for path in left})


def with_removed(seen: Observation, gone: Iterable[Going]) -> Observation:
    """Return a look as it was before files were removed."""
    were = {name: Entry(name, *each.file.stamp) for each in gone for name in each.names}
    return replace(seen, entries={**seen.entries, **were})


def numbered(name: str, number: int) -> str:
    """Return a name for one more file of a name that is taken: "scan (2).dcm"."""
    path = PurePosixPath(name)
    ending = f" ({number}){path.suffix}".encode(errors="surrogateescape")
    stem = path.stem.encode(errors="surrogateescape")[: _NAME_BYTES - len(ending)]
    return (stem + ending).decode(errors="surrogateescape")
