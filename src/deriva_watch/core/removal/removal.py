"""The rules for removing an uploaded file from its folder, and the reasons for keeping it.

A file is removed only if its bytes, read again right before, are those of an object that has a row,
looked up right before. If something cannot be found out, the file is kept.
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
from deriva_watch.core.read_back import ReadBack
from deriva_watch.core.records import FileRecord
from deriva_watch.core.states import FileState

CLOCKS_DIFFER: Final = timedelta(minutes=5)
_NAME_BYTES: Final = 255  # the longest name of a Linux file
_HOLDING: Final = {FileState.UNMATCHED, FileState.IGNORED, FileState.REFUSED}


@dataclass(frozen=True, slots=True)
class Uptime:
    """How long this host has been on while a journal watched.

    Attributes:
        boot: Identifies the start of the host that was current at the last look.
        boot_s: How long ago that start was, asleep or awake: nobody can set this clock.
        total_s: How long the host has been on since the journal was made.
    """

    boot: str
    boot_s: float
    total_s: float

    def later(self, boot: str, boot_s: float) -> "Uptime":
        """Return the value for now; time while the host was off does not count."""
        passed_s = boot_s - self.boot_s if boot == self.boot else boot_s
        return Uptime(boot, boot_s, self.total_s + max(0.0, passed_s))


@dataclass(frozen=True, slots=True)
class Removable:
    """A file that may be removed, with all its names.

    Attributes:
        file: As the journal has it.
        place: Path of the regular file, below the unit's own folder.
        links: Paths of the links there that lead to it and that would dangle without it.
        read_back: How much of its object is read back first.
    """

    file: FileRecord
    place: str
    links: tuple[str, ...] = ()
    read_back: ReadBack = "none"

    @classmethod
    def begun(cls, file: FileRecord) -> "Removable":
        """Return the journal's note on a file whose removal has begun."""
        known = file.removal or {}
        place, links = known.get("place", file.path), tuple(known.get("links", ()))
        return cls(file, place, links, known.get("read_back", "none"))

    @property
    def names(self) -> tuple[str, ...]:
        """All paths at which the file is seen."""
        return tuple(dict.fromkeys((self.file.path, self.place, *self.links)))

    def note(self, to: str | None = None) -> dict[str, Any]:
        """Return the journal's note of its removal; *to* is where it was moved."""
        more = {"place": self.place, "links": list(self.links)}
        noted = {"to": to, "read_back": self.read_back}
        return noted | (more if self.names != (self.file.path,) else {})


def removable(
    file: FileRecord, seen: Observation, root: str, names: Mapping[tuple[int, int], Sequence[str]]
) -> Removable | str:
    """Return all names of a file of an execution directory, or the reason for keeping it.

    Args:
        file: A file in *seen*.
        seen: The directory as it is now.
        root: The path of the directory without links.
        names: The paths in *seen* by the file that they lead to, as from `by_identity`.
    """
    entry, place = seen.entries[file.path], file.path
    if entry.link:
        place = (entry.target or "").removeprefix(f"{root}/")
        there = seen.entries.get(place)
        if there is None or there.link or there.kind is not Kind.CONTENT:
            return f"it is a link to {entry.target}, which is not a file in this directory"
    links = (path for path in names[entry.identity] if seen.entries[path].link)
    return Removable(file, place, tuple(sorted(links)))


def by_identity(seen: Observation) -> dict[tuple[int, int], list[str]]:
    """Return the paths in *seen*, grouped by the file (device, inode) that they lead to."""
    found: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for path, entry in seen.entries.items():
        found[entry.identity].append(path)
    return found


def removed_names(records: Iterable[FileRecord]) -> frozenset[str]:
    """Return all names of the files that were removed here: they do not count as missing.

    Manifest and workspace name each file as if it were in `assets/`.
    """
    gone = (Removable.begun(record) for record in records if record.state is FileState.REMOVED)
    names = {name for each in gone for name in each.names}
    flat = {f"assets/{key_of(where.part)}" for name in names if (where := place(name))}
    return frozenset(names | flat)


def age(since: datetime, now: datetime, server_now: datetime | None) -> timedelta:
    """Return the least time that can have passed since *since*.

    Setting this host's clock forward makes nothing older: the server's clock limits it, with
    `CLOCKS_DIFFER` as tolerance.
    """
    return min(now, server_now + CLOCKS_DIFFER if server_now else now) - since


def reason_to_keep(record: FileRecord) -> str | None:
    """Return why a file must be kept by what the journal knows of it, or None."""
    if record.state is not FileState.LINKED:
        return f"it is {record.state}, not linked"
    if record.rows is not None or not (record.url and record.rid and record.table):
        return "the server has no object with its bytes"
    if not (record.md5 and record.sha256):
        return "its checksums are not known"
    if CONTENT_PATH in (record.names or {}):
        return "a processor changed the bytes that were sent, so they cannot be compared"
    return None


def blocking_path(
    records: Iterable[FileRecord], seen: Observation, markers: Collection[str] = ()
) -> str | None:
    """Return the first file that is not in the catalog, or None.

    Nothing beside it may be removed: the other files may be all that shows what it is. *markers*
    only say that their writer is done, and block nothing.
    """
    states = {record.path: record.state for record in records}
    left = sorted(path for path in seen.entries if states.get(path) in _HOLDING)
    left += sorted(path for path, e in seen.entries.items() if e.kind is not Kind.CONTENT)
    left += sorted(seen.unlisted)
    return next((path for path in left if path not in markers), None)


def differences(
    record: FileRecord, row: Mapping[str, Any] | None, there: ObjectVersion | None
) -> Iterator[str]:
    """Yield each way in which the server no longer holds what was uploaded.

    Args:
        record: The file as it was uploaded.
        row: The row with its RID as it is now; None: it is gone.
        there: Its object version as it is now; None: it is gone.
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
        yield f"its object {record.url} has no MD5"
    elif (there.md5, there.size_bytes) != (record.md5, record.size_bytes):
        yield f"its object {record.url} has different content"


def without(seen: Observation, paths: Iterable[str]) -> Observation:
    """Return *seen* without *paths*: our own removal does not count as a change of the unit."""
    left = seen.entries.keys() - set(paths)
    return replace(seen, entries={path: seen.entries[path] for path in left})


def with_removed(seen: Observation, gone: Iterable[Removable]) -> Observation:
    """Return *seen* as it was before files were removed."""
    were = {name: _entry(each.file, name) for each in gone for name in each.names}
    return replace(seen, entries={**seen.entries, **were})


def numbered(name: str, number: int) -> str:
    """Return the name for another file where *name* is taken: "scan (2).dcm"."""
    path = PurePosixPath(name)
    ending = f" ({number}){path.suffix}".encode(errors="surrogateescape")
    stem = path.stem.encode(errors="surrogateescape")[: _NAME_BYTES - len(ending)]
    return (stem + ending).decode(errors="surrogateescape")


def _entry(file: FileRecord, name: str) -> Entry:
    return Entry(name, file.size_bytes, file.mtime_ns, file.device, file.inode)
