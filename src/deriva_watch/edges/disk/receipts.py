"""Receipts, and the manifest that we update: always written completely, by rename.

A receipt lists what the server held when it was written. People read it, and a lost journal is
rebuilt from it. Before deleting files, ask the server again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from deriva_watch.core.completeness.observation import (
    RECEIPT_NAME,
    ROWS_NAME,
    Entry,
    path_number,
)
from deriva_watch.core.json_text import read_json, read_whole
from deriva_watch.core.layout import MANIFEST
from deriva_watch.core.os_errors import reason
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.unicode_forms import respelled
from deriva_watch.edges.disk import own_files
from deriva_watch.edges.disk.own_files import Opener
from deriva_watch.edges.disk.scanning.inodes import is_stamp

_VERIFIED: Final = ".verified"
_KEPT_BYTES: Final = 1024 * 1024 * 1024  # of a receipt we keep: a unit may have a million files


def write_receipt(state_directory: Path, server: str, rid: str, receipt: Mapping[str, Any]) -> Path:
    """Write *receipt* to the state directory and return its path.

    Raises OSError if it cannot be written.
    """
    path = receipt_path(state_directory, server, rid)
    with own_files.opened(path.parent) as folder:
        own_files.replace(folder, path.name, [_text(receipt)], mode=0o600)
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
        with own_files.open_copy(folder, RECEIPT_NAME, trusted) as file:
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
            own_files.open_copy(folder, name, trusted).close()
        except FileNotFoundError:
            continue
        except OSError as error:
            found[name] = reason(error)
    return found


def receipt_names(state_directory: Path, server: str) -> list[str]:
    """Return the names of all receipts for a server in the state directory."""
    folder = receipt_path(state_directory, server, "any").parent
    return sorted(path.stem for path in folder.glob("*.json") if not path.stem.endswith(_VERIFIED))


def keep_verified(state_directory: Path, server: str, rid: str, found: Mapping[str, Any]) -> None:
    """Record a verification that found everything; OSError if we may not write there."""
    path = receipt_path(state_directory, server, rid + _VERIFIED)
    owner = state_directory.stat()  # root may verify on behalf of the daemon's user
    with own_files.opened(path.parent) as folder:
        own_files.replace(folder, path.name, [_text(found)], mode=0o600, owner=owner)


def read_verified(state_directory: Path, server: str, rid: str) -> Mapping[str, Any]:
    """Return the record of the last verification that found everything, if any."""
    return read_receipt(state_directory, server, rid + _VERIFIED)


def copy_receipt(folder: int, receipt: Mapping[str, Any]) -> None:
    """Write a copy into the open *folder* of a unit; OSError if we may not write there."""
    own_files.replace(folder, RECEIPT_NAME, [_text(receipt)], mode=0o644)


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
    with own_files.opened(path.parent) as folder:
        before = _read(path)
        if before.get("written_at") != written_at:
            return
        receipt = {**before, "proof": proof}
        owner = path.stat()  # root may verify on behalf of the daemon's user
        own_files.replace(folder, path.name, [_text(receipt)], mode=0o600, owner=owner)
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
    with os.fdopen(os.open(MANIFEST, own_files.COPY, dir_fd=folder), "rb") as file:
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
    now = own_files.replace(folder, MANIFEST, [_text(document)], mode=mode, owner=before)
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
