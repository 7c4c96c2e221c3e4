"""The result of a verification: where server, disk, journal and receipt differ."""

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

RESTORE: Final = (
    "Ask the server's administrator to restore it, and delete no local copy of the file."
)
_NO_DATA: Final = {FileState.IGNORED, FileState.GONE}
_SAYING: Final = {
    *(Shape.MANIFEST, Shape.OLD_MANIFEST, Shape.ASSET_TYPES),
    *(Shape.COLUMNS, Shape.MARKER),
}


class Where(StrEnum):
    """The place that differs from what was uploaded."""

    SERVER = "server"
    DISK = "disk"
    RECEIPT = "receipt"
    LEFT = "left"  # the file was not uploaded


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; *path* is None where it concerns no single file."""

    where: Where
    path: str | None
    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of the verification of one execution.

    Attributes:
        rid, prefix, label: The execution; the prefix is None if it is not known.
        at: When the verification began, UTC.
        files, size_bytes: The files that the server was asked for.
        hashed: How many local files were read again.
        absent: How many uploaded files are no longer here.
        ignored: How many files are never uploaded, because of `[files] ignore`.
        read_back: How many objects were read back whole and hashed.
        differences: All differences, in order.
        notes: What could not be verified, sentences.
        well_at: When a verification last found no difference, ISO 8601; None: never.
    """

    rid: str
    prefix: str | None
    label: str
    at: datetime
    files: int
    size_bytes: int
    hashed: int
    absent: int
    ignored: int
    read_back: int
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    well_at: str | None = None


def askable(record: FileRecord) -> bool:
    """Return whether enough is known of a file to ask the server for it."""
    return bool(record.rows is None and record.url and record.rid and record.table and record.md5)


def left(records: Iterable[FileRecord], then: str) -> Iterator[Difference]:
    """Yield the files that are known and not in the catalog; *then* is what to do by default."""
    for record in records:
        if record.state in SAFE or record.state in _NO_DATA:
            continue
        what = f"{record.path} is not in the catalog"
        yield Difference(
            Where.LEFT,
            record.path,
            what,
            record.why or f"it is {record.state}",
            record.next or then,
        )


def unknown(
    seen: Observation, known: Iterable[FileRecord], markers: frozenset[str], *, is_ml: bool
) -> Iterator[Difference]:
    """Yield the files on disk that journal and receipt do not know; further names do not count.

    *is_ml* is False for a drop folder, which has no manifest or similar files.
    """
    paths = {record.path for record in known if record.state is not FileState.GONE}
    # As they are now: the inode of a deleted file may belong to another file.
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
            entry.problem or "it was written after the upload, or the daemon has not seen it yet",
            uploading(seen.root),
        )
    for path, why in sorted(seen.unlisted.items()):
        then = "Give the user of deriva-watch the right to list it."
        yield Difference(Where.DISK, path, f"cannot look into {path}", why, then)


def forged(journal: Mapping[str, FileRecord], said: Iterable[FileRecord]) -> Iterator[Difference]:
    """Yield where a receipt contradicts the journal."""
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
                f"the receipt contradicts the journal about {line.path}",
                f"it says {'; '.join(pairs)}",
                "The journal is right: somebody changed the receipt. The next upload rewrites it.",
            )


def lost(
    file: FileRecord, reasons: Iterable[str], *, is_here: bool | None, rid: str | None
) -> Iterator[Difference]:
    """Yield the parts of a file that the server no longer has.

    *is_here* is None where nobody has looked for the file. *rid* is its execution, None if no
    journal knows that.
    """
    path = file.path
    if is_here is False:
        then = (
            "Restore it on the server, or put the file back from another copy: there is none here."
        )
    elif rid is None or file.adopted or file.rows is not None or file.state is not FileState.LINKED:
        then = RESTORE  # a retry changes no row of others, and sends no row twice
    else:
        again = f"`deriva-watch retry {quote(rid)} {quote(path)}`"
        or_ = "or" if is_here else "or, if the file is still here,"
        then = f"Restore it on the server; {or_} {again} uploads it again, if we may change rows."
    what = f"the server no longer has {path} as it was uploaded"
    for why in reasons:
        yield Difference(Where.SERVER, path, what, why, then)


def damaged(record: FileRecord, why: str) -> Difference:
    """Return the difference of a file whose object does not have the bytes that HEAD promises."""
    what = f"the server cannot give back the bytes of {record.path}"
    return Difference(Where.SERVER, record.path, what, why, RESTORE)


def uploading(root: str) -> str:
    """Return the next step for a file in the folder *root* that is not in the catalog."""
    return f"The daemon uploads it; without a daemon run `deriva-watch upload {quote(root)}`."


def other_content(record: FileRecord, root: str, *, is_touched: bool) -> Difference:
    """Return the difference of a file whose bytes are not those that were uploaded."""
    then = (
        uploading(root)
        if is_touched
        else "No program changed it: the disk may be failing. "
        f"The uploaded bytes are {record.url}; `touch` the file if the bytes here are right."
    )
    what = f"{record.path} does not have the content that was uploaded"
    why = "its MD5 or SHA-256 has changed" + ("" if is_touched else ", but not its size and times")
    return Difference(Where.DISK, record.path, what, why, then)
