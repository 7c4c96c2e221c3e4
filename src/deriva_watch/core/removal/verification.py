"""What a verification found: in what server, disk, journal and receipt do not say the same."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from shlex import quote
from typing import Final

from deriva_watch.core.completeness.observation import Kind, Observation
from deriva_watch.core.layout import Shape, place
from deriva_watch.core.records import ON_SERVER, FileRecord
from deriva_watch.core.states import SAFE, FileState

_NO_DATA: Final = {FileState.IGNORED, FileState.GONE}
_SAYING: Final = {
    *(Shape.MANIFEST, Shape.OLD_MANIFEST, Shape.ASSET_TYPES),
    *(Shape.COLUMNS, Shape.MARKER),
}


class Where(StrEnum):
    """What differs from what was uploaded."""

    SERVER = "server"
    DISK = "disk"
    RECEIPT = "receipt"
    LEFT = "left"  # nothing was uploaded


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be; *path* is None where it is about no one file."""

    where: Where
    path: str | None
    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of the verification of one execution.

    Attributes:
        rid, prefix, called: Which one; the prefix is None where it is not known.
        at: When it began, UTC.
        files, size_bytes: What the server was asked for.
        hashed: Files that lie here, and were read again.
        absent: Files that do not lie here any more.
        ignored: Files that are never uploaded, by `[files] ignore`.
        differences: In order.
        notes: What could not be asked for, sentences.
        well_at: When a verification found no difference last, ISO; None: none did.
    """

    rid: str
    prefix: str | None
    called: str
    at: datetime
    files: int
    size_bytes: int
    hashed: int
    absent: int
    ignored: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    well_at: str | None = None


def askable(record: FileRecord) -> bool:
    """Tell whether there is enough to ask a server for a file by."""
    return bool(record.rows is None and record.url and record.rid and record.table and record.md5)


def left(records: Iterable[FileRecord], rid: str) -> Iterator[Difference]:
    """Name the files that the journal knows and that are not in."""
    for record in records:
        if record.state in SAFE or record.state in _NO_DATA:
            continue
        then = record.next or f"`deriva-watch show {quote(rid)}` tells what it waits for."
        what = f"{record.path} is not in the catalog"
        yield Difference(Where.LEFT, record.path, what, record.why or f"it is {record.state}", then)


def unknown(
    seen: Observation, known: Iterable[FileRecord], markers: frozenset[str], *, is_ml: bool
) -> Iterator[Difference]:
    """Name the files on disk that nothing is known of; a second name of a known one is none.

    *is_ml* is False for a drop folder, which has no layout of files that speak of files.
    """
    paths = {record.path for record in known if record.state is not FileState.GONE}
    # As they are now: the inode of a file that is not here any more may be another file's.
    identities = {seen.entries[path].identity for path in paths & seen.entries.keys()}
    for path, entry in sorted(seen.entries.items()):
        where = place(path, markers) if is_ml else None
        is_saying = (where is not None and where.shape in _SAYING) or path in markers
        is_known = path in paths or entry.identity in identities
        if is_known or is_saying or entry.kind is Kind.IGNORED:
            continue
        yield Difference(
            Where.LEFT,
            path,
            f"{path} is not in the catalog",
            entry.problem or "it was written after the upload, or nobody has looked at it yet",
            "Leave it to the daemon, or `deriva-watch upload` the directory.",
        )
    for path, why in sorted(seen.unreadable.items()):
        then = "Let the user of deriva-watch list it."
        yield Difference(Where.DISK, path, f"cannot look into {path}", why, then)


def forged(journal: Mapping[str, FileRecord], said: Iterable[FileRecord]) -> Iterator[Difference]:
    """Name what a receipt says otherwise than the journal does."""
    for line in said:
        record = journal.get(line.path)
        if record is None or record.state not in SAFE or record.changed_at > line.changed_at:
            continue
        odd = [name for name in ON_SERVER if getattr(record, name) != getattr(line, name)]
        if odd:
            pairs = (f"{n} = {getattr(line, n)!r}, not {getattr(record, n)!r}" for n in odd)
            yield Difference(
                Where.RECEIPT,
                line.path,
                f"the receipt tells of {line.path} what the journal does not",
                f"it says {'; '.join(pairs)}",
                "The journal counts. Somebody changed the receipt: the next upload writes it anew.",
            )


def lost(path: str, reasons: Iterable[str], *, is_here: bool) -> Iterator[Difference]:
    """Name what the server does not hold of a file any more."""
    then = (
        "Mend it on the server; or let the file be uploaded again: `touch` it."
        if is_here
        else "Mend it on the server, or put the file back from another copy: none lies here."
    )
    what = f"the server does not hold {path} as it was uploaded"
    for why in reasons:
        yield Difference(Where.SERVER, path, what, why, then)


def other_content(record: FileRecord, *, is_touched: bool) -> Difference:
    """Say that the bytes here are not those that were uploaded."""
    then = (
        "It is uploaded again by the daemon, or by `deriva-watch upload`."
        if is_touched
        else f"Nobody wrote to it: the disk may fail. The right bytes are {record.url}; "
        "`touch` the file if what lies here is right."
    )
    what = f"{record.path} is another content than what was uploaded"
    why = "its MD5 and SHA-256 are others" + ("" if is_touched else ", its size and times are not")
    return Difference(Where.DISK, record.path, what, why, then)
