"""What the demo's files contain. The same at every run, and made piece by piece, as it grows."""

import json
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any, Final

Pieces = Callable[[int], bytes]
"""Returns the next piece of a file by its number, from 0."""

_WEIGHTS_BYTES: Final = 1_000_000  # in a piece
_SIDE: Final = 384  # pixels of an image


def document(value: Any) -> Pieces:
    """Return the only piece of a JSON file."""
    text = json.dumps(value, indent=1).encode() + b"\n"
    return lambda _: text


def metrics(number: int) -> bytes:
    """Return a line of a CSV table, the first with its header."""
    head = "step,loss,accuracy\n" if number == 0 else ""
    loss = 2.3 / (1 + number / 12) + _chance(number).random() / 20
    return f"{head}{number},{loss:.5f},{1 - loss / 2.5:.5f}\n".encode()


def log(number: int) -> bytes:
    """Return a line of a log."""
    at = f"2026-03-02 09:{number // 60:02}:{number % 60:02}"
    return f"{at} epoch {number // 10} batch {number % 10} of 10 done\n".encode()


def weights(number: int) -> bytes:
    """Return a piece of a model: noise, as weights are to anybody else."""
    return _chance(number).randbytes(_WEIGHTS_BYTES)


def image(seed: int, pieces: int) -> Pieces:
    """Return a grey PNG with speckles, cut into *pieces*."""
    noise = _chance(seed).randbytes(_SIDE * _SIDE)
    lines = (
        b"\0" + bytes((x + y) // 4 + (noise[y * _SIDE + x] & 63) for x in range(_SIDE))
        for y in range(_SIDE)
    )
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b""))
    whole = b"\x89PNG\r\n\x1a\n" + b"".join(_png_part(kind, body) for kind, body in parts)
    return cut(whole, pieces)


def cut(whole: bytes, pieces: int) -> Pieces:
    """Return a file in so many pieces."""
    length = -(-len(whole) // pieces)
    return lambda number: whole[number * length : (number + 1) * length]


def _png_part(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # nobody must not guess it
