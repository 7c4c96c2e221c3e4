"""The bytes: one file for each version and each open job.

What was written survives the death of the process; only that of the machine would need fsync.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

BLOCK_BYTES: Final = 1 << 20
PART_SUFFIX: Final = ".part"


def new_version() -> str:
    """Return a random version, with the length and alphabet of Hatrac's."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=")


class Storage:
    """A folder of files named by version.

    Args:
        folder: The folder; incomplete files of a killed server are removed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob(f"*{PART_SUFFIX}"):
            part.unlink()
        self._folder = folder

    def file(self, version: str) -> Path:
        """Return the file of *version*; a job has the version it will become."""
        return self._folder / version

    def read(self, version: str, start: int, nbytes: int) -> Iterator[bytes]:
        """Yield *nbytes* of the content of *version* from *start*, block by block."""
        left = nbytes
        with self.file(version).open("rb") as stream:
            stream.seek(start)
            while left > 0 and (block := stream.read(min(left, BLOCK_BYTES))):
                left -= len(block)
                yield block

    def reserve(self, version: str) -> None:
        """Make the empty file of a job."""
        self.file(version).touch(exist_ok=False)

    def writer(self, version: str) -> "Writer":
        """Return a writer for the whole content of *version*."""
        part = self._folder / (version + PART_SUFFIX)
        return Writer(part.open("wb"), self.file(version))

    def chunk_writer(self, version: str, offset: int) -> "Writer":
        """Return a writer for the part of a job's content that begins at *offset*."""
        stream = self.file(version).open("r+b")
        stream.seek(offset)
        return Writer(stream, None)

    def finish(self, version: str) -> bytes:
        """Read a job's content and return its MD5."""
        with self.file(version).open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).digest()

    def remove(self, version: str) -> None:
        """Delete the content of *version*."""
        self.file(version).unlink(missing_ok=True)


class Writer:
    """Writes content in pieces.

    Args:
        stream: The open file.

        target: The final name of the complete file; None to keep its name.
    """

    def __init__(self, stream: BinaryIO, target: Path | None) -> None:
        self._stream = stream
        self._target = target
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.received_bytes = 0

    def write(self, data: bytes) -> None:
        """Write the next piece."""
        self._stream.write(data)
        self._md5.update(data)
        self.received_bytes += len(data)

    def digest(self) -> bytes:
        """Return the MD5 of what was written."""
        return self._md5.digest()

    def commit(self) -> None:
        """Close the file; with a target, give it its name."""
        self._stream.close()
        if self._target:
            Path(self._stream.name).replace(self._target)
            self._target = None

    def discard(self) -> None:
        """Close the file; with a target, remove what was not committed."""
        self._stream.close()
        if self._target:
            Path(self._stream.name).unlink(missing_ok=True)
