"""How a file is divided into chunks for an upload job."""

from typing import Final

# Hatrac's limit of one request body (measured: 413 above it).
MAX_BODY_BYTES: Final = 128 * 1024 * 1024


def chunk_count(chunk_bytes: int, file_bytes: int) -> int:
    """Return the number of chunks of a file; an empty file has none."""
    return -(-file_bytes // chunk_bytes)


def chunk_span(number: int, chunk_bytes: int, file_bytes: int) -> tuple[int, int]:
    """Return offset and length, in bytes, of chunk *number* of a file.

    All chunks have the same length, except the last, which may be shorter.

    Args:
        number: Ordinal of the chunk, from 0.
        chunk_bytes: Length of a chunk, in bytes, as the upload job was created.
        file_bytes: Length of the file, in bytes, as it was when hashed.

    Raises:
        ValueError: The file has no such chunk. Hatrac would answer 409.

    Source: Hatrac docs/REST-API.md, "Chunked Upload Resources", "Chunk Upload".
    """
    offset = number * chunk_bytes
    if not 0 <= offset < file_bytes:
        raise ValueError(f"no chunk {number}: {file_bytes} bytes in chunks of {chunk_bytes}")
    return offset, min(chunk_bytes, file_bytes - offset)
