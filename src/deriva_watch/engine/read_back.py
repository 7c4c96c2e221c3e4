"""Reads stored objects back, in parts, and compares them with what was uploaded."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5, sha256
from typing import BinaryIO, Final

from deriva_watch.core.read_back import Span, sample, whole
from deriva_watch.core.records import FileRecord
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.ports import ObjectStore

# A broken connection looks like an object that ends early, except that it passes.
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Compares stored objects with what was uploaded. Raises the errors of `engine.ports`."""

    store: ObjectStore
    call_retry: CallRetry
    chance: Callable[[], float] = random.random

    def compare_sample(self, file: FileRecord, body: BinaryIO) -> str | None:
        """Compare a few parts of a file's object with the local bytes in *body*.

        Returns how they differ, or None.
        """
        for span in sample(file.size_bytes, self.chance()):
            stored = self._read(file, span)
            body.seek(span.first)
            local = body.read(span.size_bytes)
            if len(stored) < span.size_bytes:
                return _short(file, span, stored)
            if stored != local:
                last = span.first + span.size_bytes - 1
                return f"bytes {span.first} to {last} of {file.url} are not those of the file"
        return None

    def compare_all(self, file: FileRecord, moved: Callable[[int], None]) -> str | None:
        """Hash a file's object; return how it differs from what was uploaded, or None.

        *moved* is called with the bytes just read; it may raise to stop.
        """
        in_md5, in_sha256 = md5(usedforsecurity=False), sha256()
        for span in whole(file.size_bytes):
            stored = self._read(file, span)
            if len(stored) < span.size_bytes:
                return _short(file, span, stored)
            in_md5.update(stored)
            in_sha256.update(stored)
            moved(len(stored))
        same_sha = file.sha256 is None or in_sha256.hexdigest() == file.sha256
        if in_md5.hexdigest() == file.md5 and same_sha:
            return None
        return f"the bytes of {file.url} have another MD5 or SHA-256 than the server says"

    def _read(self, file: FileRecord, span: Span) -> bytes:
        """Return a part of the object, shorter if it ends there."""
        stored, url = b"", file.url or ""
        for _ in range(_TRIES):
            stored = self.call_retry("GET object", lambda: self.store.read(url, *span))
            if len(stored) == span.size_bytes:
                break
        return stored


def _short(file: FileRecord, span: Span, stored: bytes) -> str:
    ends = span.first + len(stored)
    return f"{file.url} ends after {ends} bytes when it is read; it should have {file.size_bytes}"
