"""``Range`` headers: which part of an object a client asks for.

Every rule was measured on the real server.
"""

import re
from dataclasses import dataclass
from typing import Final

from deriva_watch.sandbox.refusal import RefusedError

_SPAN: Final = re.compile(r"(?P<first>\d*)-(?P<last>\d*)")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an object.

    Attributes:
        start: Offset of its first byte.

        stop: Offset after its last byte.

        total: Length of the object, in bytes.
    """

    start: int
    stop: int
    total: int

    @property
    def nbytes(self) -> int:
        """The length, in bytes."""
        return self.stop - self.start


def requested_part(header: str | None, total: int) -> Part | None:
    """Return the part that a ``Range`` header asks for; None for the whole object.

    A range that cannot be read, is reversed, or covers everything is ignored.

    Args:
        header: The header, or None.

        total: Length of the object, in bytes.

    Raises:
        RefusedError: 416, it starts after the end; 501, several ranges, or another unit.
    """
    if not header:
        return None
    unit, _, spans = header.partition("=")
    if unit.strip().lower() != "bytes" or "," in spans:
        raise RefusedError(501, "Only one range of bytes is implemented.")
    span = _SPAN.fullmatch(spans.strip())
    if span is None or not (span["first"] or span["last"]):
        return None
    if total == 0:
        raise RefusedError(416, "The object is empty.", {"Content-Range": "bytes */0"})
    start, stop = _limits(span["first"], span["last"], total)
    if start >= total and span["first"]:
        text = f"The object has {total} bytes."
        raise RefusedError(416, text, {"Content-Range": f"bytes */{total}"})
    whole = start <= 0 and stop >= total
    return None if whole or start >= stop else Part(start, stop, total)


def _limits(first: str, last: str, total: int) -> tuple[int, int]:
    if not first:
        return total - int(last), total
    return int(first), min(int(last) + 1, total) if last else total
