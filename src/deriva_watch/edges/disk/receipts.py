"""Receipts and other files that we write for an execution: always complete, by rename.

A receipt lists what the server held when it was written. People read it, and a lost journal is
rebuilt from it. Before deleting files, ask the server again.
"""

import errno
import hashlib
import json
import os
import secrets
import stat
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from fcntl import LOCK_EX, flock
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from deriva_watch.core.completeness.observation import (
    OWN_PREFIX,
    RECEIPT_NAME,
    ROWS_NAME,
    Entry,
    path_number,
)
from deriva_watch.core.json_text import read_json, read_whole
from deriva_watch.core.layout import MANIFEST
from deriva_watch.core.records import BatchRecord, ExecutionRecord
from deriva_watch.core.rows.ledger import Batch
from deriva_watch.core.rows.row_plan import DIGEST_BYTES
from deriva_watch.core.trust import objection
from deriva_watch.core.unicode_forms import respelled
from deriva_watch.edges.disk.inodes import is_stamp

_VERIFIED: Final = ".verified"
_KEPT_BYTES: Final = 1024 * 1024 * 1024  # of a receipt we keep: a unit may have a million files
_COPY: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

Opener = Callable[[], AbstractContextManager[int]]
"""Opens the folder of a unit, checked, as a descriptor; raises OSError."""


def write_receipt(state_directory: Path, server: str, rid: str, receipt: Mapping[str, Any]) -> Path:
    """Write *receipt* to the state directory and return its path.

    Raises OSError if it cannot be written.
    """
    path = receipt_path(state_directory, server, rid)
    with _opened(path.parent) as folder:
        _replace(folder, path.name, [_text(receipt)], mode=0o600)
    return path


def read_receipt(state_directory: Path, server: str, rid: str) -> Mapping[str, Any]:
    """Return the receipt in the state directory; empty if there is none."""
    return _read(receipt_path(state_directory, server, rid))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            found = read_json(read_whole(file, _KEPT_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_copy(
    folder: int, trusted: Collection[int] = (), doubt: Callable[[str], None] | None = None
) -> Mapping[str, Any]:
    """Return the copy in the open *folder* of a unit; empty if there is none that counts.

    It counts if a user wrote it whose statements count for the owner of the folder (those of
    *trusted* do), or this process's user. *doubt* is told why one does not count.
    """
    try:
        with _open_copy(folder, RECEIPT_NAME, trusted) as file:
            found = read_json(read_whole(file))
    except (OSError, ValueError) as error:
        if doubt and not isinstance(error, FileNotFoundError):
            doubt(f"{RECEIPT_NAME}: {getattr(error, 'strerror', None) or error}")
        return {}
    return found if isinstance(found, dict) else {}


def disbelieved_copies(folder: int, trusted: Collection[int]) -> dict[str, str]:
    """Return why copies in the open *folder* of a unit do not count, by their names."""
    found = {}
    for name in (RECEIPT_NAME, ROWS_NAME):
        try:
            _open_copy(folder, name, trusted).close()
        except FileNotFoundError:
            continue
        except OSError as error:
            found[name] = error.strerror or str(error)
    return found


def receipt_names(state_directory: Path, server: str) -> list[str]:
    """Return the names of all receipts for a server in the state directory."""
    folder = receipt_path(state_directory, server, "any").parent
    return sorted(path.stem for path in folder.glob("*.json") if not path.stem.endswith(_VERIFIED))


def keep_verified(state_directory: Path, server: str, rid: str, found: Mapping[str, Any]) -> None:
    """Record a verification that found everything; OSError if we may not write there."""
    path = receipt_path(state_directory, server, rid + _VERIFIED)
    owner = state_directory.stat()  # root may verify on behalf of the daemon's user
    with _opened(path.parent) as folder:
        _replace(folder, path.name, [_text(found)], mode=0o600, owner=owner)


def read_verified(state_directory: Path, server: str, rid: str) -> Mapping[str, Any]:
    """Return the record of the last verification that found everything, if any."""
    return read_receipt(state_directory, server, rid + _VERIFIED)


def copy_receipt(folder: int, receipt: Mapping[str, Any]) -> None:
    """Write a copy into the open *folder* of a unit; OSError if we may not write there."""
    _replace(folder, RECEIPT_NAME, [_text(receipt)], mode=0o644)


def kept_as(execution: ExecutionRecord) -> str:
    """Return the name of its receipt; unique even if drop folders have units of the same name."""
    if not execution.unit:
        return execution.rid
    digest = hashlib.sha256(f"{execution.prefix}/{execution.rid}".encode(errors="surrogateescape"))
    return f"{execution.rid[:50]}-{digest.hexdigest()[:16]}"


def tell_removed(
    state_directory: Path, server: str, rid: str, beside: Opener, proofs: Mapping[str, Any]
) -> None:
    """Note in a receipt and its copy that local files were removed; best effort, like the copy.

    *beside* opens the folder of the unit. Only a copy of this receipt is replaced there. *proofs*
    are those that were made before each removal, by path.
    """
    receipt = read_receipt(state_directory, server, rid)
    news = [line for line in receipt.get("files", ()) if line["file"] in proofs]
    if all(line["state"] == "removed" for line in news):
        return
    for line in news:
        line |= {"state": "removed", "proof": proofs[line["file"]]}
    with suppress(OSError):
        write_receipt(state_directory, server, rid, receipt)
        with beside() as folder:
            if _same_receipt(read_copy(folder), receipt):
                copy_receipt(folder, receipt)


def tell_proof(
    path: Path, beside: Opener | None, written_at: str, proof: Mapping[str, Any]
) -> None:
    """Note in the receipt *path*, and in its copy if there is one, that all files were verified.

    *beside* opens the folder of the unit. A receipt of another time than *written_at* is another
    one and stays as it is. Raises OSError if it cannot be written.
    """
    with _opened(path.parent) as folder:
        before = _read(path)
        if before.get("written_at") != written_at:
            return
        receipt = {**before, "proof": proof}
        owner = path.stat()  # root may verify on behalf of the daemon's user
        _replace(folder, path.name, [_text(receipt)], mode=0o600, owner=owner)
    if beside:
        with beside() as folder:
            if _same_receipt(read_copy(folder), receipt):
                copy_receipt(folder, receipt)


def marks_path(state_directory: Path, server: str, rid: str) -> Path:
    """Return the file that says which objects a verification has read back so far."""
    return receipt_path(state_directory, server, rid).with_suffix(".read-back.jsonl")


def _same_receipt(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    names = ("server", "execution", "unit", "directory", "written_at")
    return all(one.get(name) == other.get(name) for name in names)


def update_manifest(
    folder: int, seen: Entry, news: Mapping[str, Mapping[str, Any]]
) -> Entry | None:
    """Write *news* (fields by "<Table>/<file>") into the manifest with the stamp *seen*.

    *folder* is the open folder of the unit. Names may differ from those of the manifest in their
    Unicode form.

    Everything else in it stays as it is. Returns the entry of the new file, or None if nothing was
    written: there is no news, or its writer has changed it meanwhile.

    Raises OSError if we may not write, ValueError if it is no longer a manifest.
    """
    path = str(Path(f"/proc/self/fd/{folder}").readlink() / MANIFEST)
    with os.fdopen(os.open(MANIFEST, _COPY, dir_fd=folder), "rb") as file:
        before = os.fstat(file.fileno())
        if not is_stamp(seen.stamp, before, path):
            return None
        document = read_json(read_whole(file))
    entries, changed = document["assets"], False
    other = respelled(news, entries)
    for key, fields in news.items():
        entry = entries.get(other.get(key, key))
        if isinstance(entry, dict) and any(entry.get(k) != v for k, v in fields.items()):
            entry.update(fields)
            changed = True
    now = os.lstat(MANIFEST, dir_fd=folder)
    if not changed or not is_stamp(seen.stamp, now, path):
        return None
    mode = before.st_mode & 0o777
    now = _replace(folder, MANIFEST, [_text(document)], mode=mode, owner=before)
    return replace(
        seen,
        size_bytes=now.st_size,
        mtime_ns=now.st_mtime_ns,
        device=now.st_dev,
        inode=seen.inode if seen.inode == path_number(path) else now.st_ino,
    )


def receipt_path(state_directory: Path, server: str, rid: str) -> Path:
    """Return where a receipt is kept."""
    folder = state_directory / "receipts" / server.replace("/", "_").replace(":", "_")
    return folder / f"{rid.replace('/', '_')}.json"


def _text(document: Mapping[str, Any]) -> bytes:
    # A name that is not UTF-8 has surrogates, whose Python escape is valid in JSON.
    return json.dumps(document, indent=2, ensure_ascii=False).encode(errors="backslashreplace")


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Open a folder of the state directory for this process alone; create it if needed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, _FOLDER)
    try:
        flock(descriptor, LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _open_copy(folder: int, name: str, trusted: Collection[int]) -> BinaryIO:
    """Open a file of ours that is in the folder of a unit; PermissionError if it does not count."""
    file = os.fdopen(os.open(name, _COPY, dir_fd=folder), "rb")
    found, why = os.fstat(file.fileno()), None
    if not stat.S_ISREG(found.st_mode):
        why = "it is not a regular file"
    else:
        why = objection(found.st_uid, os.fstat(folder).st_uid, {*trusted, os.geteuid()})
    if why is None:
        return file
    file.close()
    raise PermissionError(errno.EPERM, why, name)


def _replace(
    folder: int,
    name: str,
    content: Iterable[bytes],
    mode: int,
    owner: os.stat_result | None = None,
) -> os.stat_result:
    """Replace the file *name* in the open *folder* durably, or leave it as it was."""
    part = f"{OWN_PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(part, _NEW, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
            written = os.fstat(file.fileno())
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise
    return written


@dataclass(frozen=True, slots=True)
class Beside:
    """The folder of a unit, which has copies of what we keep.

    Attributes:
        root: Its path.
        opened: Opens it.
        trusted: Users whose copies count, beside those of its owner.
    """

    root: Path
    opened: Opener
    trusted: Collection[int] = ()


_ROWS: Final = 1  # the format of the lines
_LINE_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class RowReceipt:
    """A second file of a receipt: the RIDs of the execution's rows that have no key.

    The catalog cannot tell which rows these are. If the journal is lost, a new one reads them from
    here. There may be millions, so it is written and read in batches.

    Attributes:
        kept: Its path in the state directory.
        beside: The folder of the unit, which has a copy.
        head: What it belongs to: server, execution and directory.
    """

    kept: Path
    beside: Beside
    head: Mapping[str, str]

    @classmethod
    def of(cls, state_directory: Path, server: str, rid: str, beside: Beside) -> Self:
        """Return the one of an execution directory, whether or not the file exists."""
        kept = receipt_path(state_directory, server, rid).with_suffix(".rows.jsonl")
        head = {"server": server, "execution": rid, "directory": os.fsdecode(beside.root)}
        return cls(kept, beside, head)

    def write(self, batches: Iterable[tuple[str, BatchRecord]]) -> bool:
        """Write batches by path to the state directory; return whether there were any.

        Without batches no file is written. Raises OSError if it cannot be written.
        """
        lines = (_row_line(path, batch) for path, batch in batches)
        if (line := next(lines, None)) is None:
            return False
        head = _json_line({"rows": _ROWS, **self.head})
        with _opened(self.kept.parent) as folder:
            _replace(folder, self.kept.name, chain([head, line], lines), 0o600)
        return True

    def leave_copy(self) -> None:
        """Write a copy beside the files; OSError if we may not write there."""
        with self.kept.open("rb") as file, self.beside.opened() as folder:
            _replace(folder, ROWS_NAME, iter(partial(file.read, _LINE_BYTES), b""), mode=0o644)

    def read(self, path: str, doubt: Callable[[str], None]) -> Iterator[Batch]:
        """Yield the batches of a file of rows; report what cannot be read to *doubt*.

        The result is only a hint: anybody may have written the copy.
        """
        for is_copy in (False, True):
            found = False
            try:
                for batch in self._read(path, is_copy=is_copy):
                    found = True
                    yield batch
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                place = f"the copy {ROWS_NAME}" if is_copy else self.kept
                doubt(f"{place} is ignored from here on: {error}")
            if found:
                return

    @contextmanager
    def _open(self, *, is_copy: bool) -> Iterator[BinaryIO]:
        if not is_copy:
            with self.kept.open("rb") as file:
                yield file
            return
        trusted = self.beside.trusted
        with self.beside.opened() as folder, _open_copy(folder, ROWS_NAME, trusted) as file:
            yield file

    def _read(self, path: str, *, is_copy: bool) -> Iterator[Batch]:
        with self._open(is_copy=is_copy) as file:
            self._check(file.readline(_LINE_BYTES), is_copy=is_copy)
            for number, line in enumerate(iter(partial(file.readline, _LINE_BYTES), b""), 2):
                try:
                    said = read_json(line)
                    batch = _row_batch(said) if said["file"] == path else None
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(
                        f"line {number} was not written by deriva-watch ({error!r})"
                    ) from None
                if batch:
                    yield batch

    def _check(self, line: bytes, *, is_copy: bool) -> None:
        """Raise ValueError if a file with that first line belongs to another execution."""
        try:
            head = read_json(line)
            odd = [name for name, value in self.head.items() if head[name] != value]
            if head["rows"] != _ROWS:
                odd.append("rows")
        except (ValueError, KeyError, TypeError):
            raise ValueError("line 1 was not written by deriva-watch") from None
        if is_copy:  # the directory may have been moved
            odd = [name for name in odd if name != "directory"]
        if odd:
            raise ValueError(f"it is of another {', '.join(odd)}")


def _row_line(path: str, batch: BatchRecord) -> bytes:
    digests = b64encode(batch.digests).decode()
    return _json_line({"file": path, "first": batch.first, "digests": digests, "rids": batch.rids})


def _json_line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"  # surrogates are escaped


def _row_batch(said: Mapping[str, Any]) -> Batch:
    whole = b64decode(said["digests"], validate=True)
    digests = [whole[at : at + DIGEST_BYTES] for at in range(0, len(whole), DIGEST_BYTES)]
    rids: list[str | None] = said["rids"] or [None] * len(digests)
    texts = all(rid is None or isinstance(rid, str) for rid in rids)
    if not texts or len(rids) * DIGEST_BYTES != len(whole) or not isinstance(said["first"], int):
        raise ValueError("invalid batch")
    return Batch(said["first"], digests, rids, sent=False)
