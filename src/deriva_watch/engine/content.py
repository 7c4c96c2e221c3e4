"""Reads the bytes of a file: once for the digests, once for sending, never whole in memory."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from deriva_watch.liveness import beat

BLOCK_BYTES: Final = 1024 * 1024

Progress = Callable[[int], None]  # called with the number of bytes just read; may raise to stop


@dataclass(frozen=True, slots=True)
class Digests:
    """MD5 and SHA-256 of a content, in hexadecimal."""

    md5: str
    sha256: str
    size_bytes: int
    more: tuple[tuple[str, str], ...] = ()  # other requested digests, by name


def digests(body: BinaryIO, moved: Progress, more: Sequence[str] = ()) -> Digests:
    """Hash the rest of *body*, all digests in one pass (hashlib releases the GIL)."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    others = {name: hashlib.new(name, usedforsecurity=False) for name in more}
    buffer, size_bytes = bytearray(BLOCK_BYTES), 0
    view = memoryview(buffer)
    while count := body.readinto(buffer):  # type: ignore[attr-defined]  # every raw file has it
        md5.update(view[:count])
        sha256.update(view[:count])
        for other in others.values():
            other.update(view[:count])
        size_bytes += count
        beat()
        moved(count)
    told = tuple((name, other.hexdigest()) for name, other in others.items())
    return Digests(md5.hexdigest(), sha256.hexdigest(), size_bytes, told)


def span(body: BinaryIO, offset: int, size_bytes: int, moved: Progress) -> BinaryIO:
    """Return *size_bytes* of *body* from *offset* on as a file object of known length."""
    return cast("BinaryIO", _Span(body, offset, size_bytes, moved))


class _Span(io.RawIOBase):
    """A part of a file as a file object of known length; every read is reported."""

    def __init__(self, body: BinaryIO, offset: int, size_bytes: int, moved: Progress) -> None:
        """Take *size_bytes* of *body* from *offset* on."""
        super().__init__()
        self._body, self._offset, self._moved = body, offset, moved
        self._size_bytes, self._done = size_bytes, 0
        body.seek(offset)

    def __len__(self) -> int:
        """Return the whole length, for Content-Length."""
        return self._size_bytes

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True, so that a request can be repeated."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move within the part."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._done, io.SEEK_END: self._size_bytes}[whence]
        self._done = start + offset
        self._body.seek(self._offset + self._done)
        return self._done

    def tell(self) -> int:
        """Return the position within the part."""
        return self._done

    def read(self, size: int = -1) -> bytes:
        """Return at most *size* of the remaining bytes."""
        left = self._size_bytes - self._done
        data = self._body.read(left if size < 0 else min(size, left))
        self._done += len(data)
        beat()
        self._moved(len(data))
        return data
