"""Receipts and other files that we write for an execution: always complete, by rename.

A receipt lists what the server held when it was written. People read it, and a lost journal is
rebuilt from it. Before deleting files, ask the server again.
"""

import hashlib
import json
import os
import stat
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, Self

from deriva_watch.core.completeness.observation import OWN_PREFIX, RECEIPT_NAME, ROWS_NAME, Entry
from deriva_watch.core.layout import MANIFEST
from deriva_watch.core.records import BatchRecord, ExecutionRecord
from deriva_watch.core.rows.ledger import Batch
from deriva_watch.core.rows.row_plan import DIGEST_BYTES

_VERIFIED: Final = ".verified"
_COPY: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write_receipt(state_directory: Path, server: str, rid: str, receipt: Mapping[str, Any]) -> Path:
    """Write *receipt* to the state directory and return its path.

    Raises OSError if it cannot be written.
    """
    path = _receipt_path(state_directory, server, rid)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _replace(path, [_text(receipt)], mode=0o600)
    return path


def read_receipt(state_directory: Path, server: str, rid: str) -> Mapping[str, Any]:
    """Return the receipt in the state directory; empty if there is none."""
    try:
        found = json.loads(_receipt_path(state_directory, server, rid).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_copy(root: Path) -> Mapping[str, Any]:
    """Return the copy beside the files, which anybody may have written; empty if there is none."""
    try:
        descriptor = os.open(root / RECEIPT_NAME, _COPY)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return {}
            found = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def receipt_names(state_directory: Path, server: str) -> list[str]:
    """Return the names of all receipts for a server in the state directory."""
    folder = _receipt_path(state_directory, server, "any").parent
    return sorted(path.stem for path in folder.glob("*.json") if not path.stem.endswith(_VERIFIED))


def keep_verified(state_directory: Path, server: str, rid: str, found: Mapping[str, Any]) -> None:
    """Record a verification that found everything; OSError if we may not write there."""
    path = _receipt_path(state_directory, server, rid + _VERIFIED)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner = state_directory.stat()  # root may verify on behalf of the daemon's user
    _replace(path, [_text(found)], mode=0o600, owner=owner)


def read_verified(state_directory: Path, server: str, rid: str) -> Mapping[str, Any]:
    """Return the record of the last verification that found everything, if any."""
    return read_receipt(state_directory, server, rid + _VERIFIED)


def copy_receipt(root: Path, receipt: Mapping[str, Any]) -> None:
    """Write a copy into the execution directory; OSError if we may not write there."""
    _replace(root / RECEIPT_NAME, [_text(receipt)], mode=0o644)


def kept_as(execution: ExecutionRecord) -> str:
    """Return the name of its receipt; unique even if drop folders have units of the same name."""
    if not execution.unit:
        return execution.rid
    digest = hashlib.sha256(f"{execution.prefix}/{execution.rid}".encode(errors="surrogateescape"))
    return f"{execution.rid[:50]}-{digest.hexdigest()[:16]}"


def tell_removed(  # where a receipt is, twice
    state_directory: Path, server: str, rid: str, root: Path, paths: Collection[str]
) -> None:
    """Note in a receipt and its copy that local files were removed; best effort, like the copy."""
    receipt = read_receipt(state_directory, server, rid)
    news = [line for line in receipt.get("files", ()) if line["file"] in paths]
    if all(line["state"] == "removed" for line in news):
        return
    for line in news:
        line["state"] = "removed"
    with suppress(OSError):
        write_receipt(state_directory, server, rid, receipt)
        copy_receipt(root, receipt)


def update_manifest(
    root: Path, seen: Entry, news: Mapping[str, Mapping[str, Any]]
) -> os.stat_result | None:
    """Write *news* (fields by "<Table>/<file>") into the manifest with the stamp *seen*.

    Everything else in it stays as it is. Returns the stamp of the new file, or None if nothing was
    written: there is no news, or its writer has changed it meanwhile.

    Raises OSError if we may not write, ValueError if it is no longer a manifest.
    """
    path = root / MANIFEST
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        document = json.loads(file.read())
    if (before.st_mtime_ns, before.st_ino) != (seen.mtime_ns, seen.inode):
        return None
    entries, changed = document["assets"], False
    for key, fields in news.items():
        entry = entries.get(key)
        if isinstance(entry, dict) and any(entry.get(k) != v for k, v in fields.items()):
            entry.update(fields)
            changed = True
    if not changed or path.stat().st_mtime_ns != before.st_mtime_ns:
        return None
    return _replace(path, [_text(document)], mode=before.st_mode & 0o777, owner=before)


def _receipt_path(state_directory: Path, server: str, rid: str) -> Path:
    folder = state_directory / "receipts" / server.replace("/", "_").replace(":", "_")
    return folder / f"{rid.replace('/', '_')}.json"


def _text(document: Mapping[str, Any]) -> bytes:
    # A name that is not UTF-8 has surrogates, whose Python escape is valid in JSON.
    return json.dumps(document, indent=2, ensure_ascii=False).encode(errors="backslashreplace")


def _replace(
    path: Path, content: Iterable[bytes], mode: int, owner: os.stat_result | None = None
) -> os.stat_result:
    """Replace the file *path* durably, or leave it as it was."""
    descriptor, name = tempfile.mkstemp(prefix=OWN_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
            written = os.fstat(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return written


_ROWS: Final = 1  # the format of the lines
_LINE_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class RowReceipt:
    """A second file of a receipt: the RIDs of the execution's rows that have no key.

    The catalog cannot tell which rows these are. If the journal is lost, a new one reads them from
    here. There may be millions, so it is written and read in batches.

    Attributes:
        kept: Its path in the state directory.
        copy: Its path beside the files.
        head: What it belongs to: server, execution and directory.
    """

    kept: Path
    copy: Path
    head: Mapping[str, str]

    @classmethod
    def of(cls, state_directory: Path, server: str, rid: str, root: Path) -> Self:
        """Return the one of an execution directory, whether or not the file exists."""
        kept = _receipt_path(state_directory, server, rid).with_suffix(".rows.jsonl")
        head = {"server": server, "execution": rid, "directory": os.fsdecode(root)}
        return cls(kept, root / ROWS_NAME, head)

    def write(self, batches: Iterable[tuple[str, BatchRecord]]) -> bool:
        """Write batches by path to the state directory; return whether there were any.

        Without batches no file is written. Raises OSError if it cannot be written.
        """
        lines = (_row_line(path, batch) for path, batch in batches)
        if (line := next(lines, None)) is None:
            return False
        self.kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(self.kept, chain([_json_line({"rows": _ROWS, **self.head}), line], lines), 0o600)
        return True

    def leave_copy(self) -> None:
        """Write a copy beside the files; OSError if we may not write there."""
        with self.kept.open("rb") as file:
            _replace(self.copy, iter(partial(file.read, _LINE_BYTES), b""), mode=0o644)

    def read(self, path: str, doubt: Callable[[str], None]) -> Iterator[Batch]:
        """Yield the batches of a file of rows; report what cannot be read to *doubt*.

        The result is only a hint: anybody may have written the copy.
        """
        for place in (self.kept, self.copy):
            found = False
            try:
                for batch in self._read(place, path):
                    found = True
                    yield batch
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                doubt(f"{place} is ignored from here on: {error}")
            if found:
                return

    def _read(self, place: Path, path: str) -> Iterator[Batch]:
        descriptor = os.open(place, _COPY)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("it is not a regular file")
            self._check(file.readline(_LINE_BYTES), is_copy=place == self.copy)
            for number, line in enumerate(iter(partial(file.readline, _LINE_BYTES), b""), 2):
                try:
                    said = json.loads(line)
                    batch = _row_batch(said) if said["file"] == path else None
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    raise ValueError(
                        f"line {number} was not written by deriva-watch ({error!r})"
                    ) from None
                if batch:
                    yield batch

    def _check(self, line: bytes, *, is_copy: bool) -> None:
        """Raise ValueError if a file with that first line belongs to another execution."""
        try:
            head = json.loads(line)
            odd = [name for name, value in self.head.items() if head[name] != value]
            if head["rows"] != _ROWS:
                odd.append("rows")
        except (ValueError, KeyError, TypeError, RecursionError):
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
