"""Receipts, and what we write back into an execution directory: always whole files, by rename.

A receipt says what the server held when it was written. It is a hint for people and for rebuilding;
whoever deletes by it asks the server again.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deriva_watch.core.layout import MANIFEST
from deriva_watch.core.observation import OWN_PREFIX, RECEIPT_NAME, Entry


def write_receipt(state_directory: Path, server: str, rid: str, receipt: Mapping[str, Any]) -> Path:
    """Keep *receipt* in the state directory and return where.

    Raises OSError when it cannot be written there.
    """
    folder = state_directory / "receipts" / server.replace("/", "_").replace(":", "_")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{rid.replace('/', '_')}.json"
    _replace(path, _text(receipt), mode=0o600)
    return path


def copy_receipt(root: Path, receipt: Mapping[str, Any]) -> None:
    """Put a copy into the execution directory; OSError where we may not write there."""
    _replace(root / RECEIPT_NAME, _text(receipt), mode=0o644)


def update_manifest(
    root: Path, seen: Entry, news: Mapping[str, Mapping[str, Any]]
) -> os.stat_result | None:
    """Write *news* (fields by "<Table>/<file>") into the manifest that *seen* is.

    Everything else in it stays as it is. Returns what the new file is, or None where nothing
    changed: there is no news, or its writer was there first.

    Raises OSError where we may not write, ValueError where it is no manifest any more.
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
    return _replace(path, _text(document), mode=before.st_mode & 0o777, owner=before)


def _text(document: Mapping[str, Any]) -> bytes:
    # A name that is not UTF-8 has surrogates; their Python escape is also JSON's.
    return json.dumps(document, indent=2, ensure_ascii=False).encode(errors="backslashreplace")


def _replace(
    path: Path, content: bytes, mode: int, owner: os.stat_result | None = None
) -> os.stat_result:
    """Make *path* hold *content*, durably, or leave it as it was."""
    descriptor, name = tempfile.mkstemp(prefix=OWN_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
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
