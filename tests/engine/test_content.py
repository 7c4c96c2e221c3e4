"""Bytes of a file: their digests, and parts of them as bodies of requests."""

import hashlib
import io

from hypothesis import given
from hypothesis import strategies as st

from deriva_watch.engine.content import BLOCK_BYTES, Digests, digests, span


def expected(content):
    return Digests(
        hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest(), len(content)
    )


def test_a_content_of_several_blocks_is_read_in_blocks():
    content, moved = bytes(range(256)) * 4096 * 2 + b"rest", []

    assert digests(io.BytesIO(content), moved.append) == expected(content)
    assert moved == [BLOCK_BYTES, BLOCK_BYTES, 4]


@given(st.binary())
def test_digests_are_those_of_what_is_left_of_the_body(content):
    body = io.BytesIO(b"before" + content)
    body.seek(6)

    assert digests(body, lambda _: None) == expected(content)


@given(st.binary(min_size=1), st.data())
def test_a_span_is_a_body_of_its_own(content, data):
    """It knows its length, goes back to its beginning, and ends where the next one begins."""
    offset = data.draw(st.integers(0, len(content) - 1))
    size = data.draw(st.integers(1, len(content) - offset))
    steps = data.draw(st.lists(st.integers(1, 9), max_size=5))
    moved = []
    body = span(io.BytesIO(content), offset, size, moved.append)

    read = b"".join(body.read(step) for step in steps)
    rest = body.read()

    assert len(body) == size
    assert read + rest == content[offset : offset + size]
    assert sum(moved) == size
    assert (body.tell(), body.read(1)) == (size, b"")
    assert body.seek(0) == 0
    assert body.read(1) == content[offset : offset + 1]
    assert body.seek(-1, io.SEEK_END) == size - 1
    assert body.seek(0, io.SEEK_CUR) == size - 1
