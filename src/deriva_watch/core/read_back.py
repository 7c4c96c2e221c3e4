"""Which parts of a stored object are read back to prove that the server holds its bytes.

HEAD only tells what the server's database says. No part is the whole object: the server may
redirect a request for all of it to another store.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, get_args

# "sample": the beginning, the end, and a block at random; "all": every byte; "none": only HEAD.
ReadBack = Literal["sample", "all", "none"]
READ_BACKS: Final[tuple[ReadBack, ...]] = get_args(ReadBack)

SAMPLE_BYTES: Final = 64 * 1024
PART_BYTES: Final = 8 * 1024 * 1024


class Span(NamedTuple):
    """A part of an object: offset and length, in bytes."""

    first: int
    size_bytes: int


def sample(total_bytes: int, chance: float) -> Iterator[Span]:
    """Yield the beginning, the end, and a block between them; *chance*, in [0, 1), places it."""
    head = min(SAMPLE_BYTES, (total_bytes + 1) // 2)
    tail = min(SAMPLE_BYTES, total_bytes - head)
    between = total_bytes - head - tail
    block = min(SAMPLE_BYTES, between)
    spans = (
        Span(0, head),
        Span(head + int(chance * (between - block + 1)), block),
        Span(total_bytes - tail, tail),
    )
    return (span for span in spans if span.size_bytes)


def whole(total_bytes: int) -> Iterator[Span]:
    """Yield consecutive parts that are the whole object."""
    step = max(1, min(PART_BYTES, (total_bytes + 1) // 2))
    for first in range(0, total_bytes, step):
        yield Span(first, min(step, total_bytes - first))
