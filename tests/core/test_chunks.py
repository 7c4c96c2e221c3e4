"""How a file is cut for an upload job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.chunks import MAX_BODY_BYTES, chunk_count, chunk_span

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("chunk_bytes", "file_bytes", "spans"),
    [
        (4, 0, []),
        (4, 1, [(0, 1)]),
        (4, 4, [(0, 4)]),
        (4, 5, [(0, 4), (4, 1)]),
        (1, 3, [(0, 1), (1, 1), (2, 1)]),
        (25 * MIB, 30 * MIB, [(0, 25 * MIB), (25 * MIB, 5 * MIB)]),
    ],
)
def test_all_chunks_have_one_length_except_the_last(
    chunk_bytes: int, file_bytes: int, spans: list[tuple[int, int]]
):
    count = chunk_count(chunk_bytes, file_bytes)

    assert [chunk_span(number, chunk_bytes, file_bytes) for number in range(count)] == spans


@patient
@given(chunk_bytes=st.integers(1, 2**40), chunks=st.integers(0, 50), rest=st.integers(0, 2**40))
def test_the_chunks_are_the_file_without_gap_or_overlap(chunk_bytes: int, chunks: int, rest: int):
    file_bytes = chunk_bytes * chunks + rest % chunk_bytes

    end = 0
    for number in range(chunk_count(chunk_bytes, file_bytes)):
        offset, length = chunk_span(number, chunk_bytes, file_bytes)
        assert offset == end
        assert 0 < length <= chunk_bytes
        end = offset + length

    assert end == file_bytes


@pytest.mark.parametrize(("number", "file_bytes"), [(0, 0), (2, 8), (3, 8), (-1, 8)])
def test_a_file_has_no_chunk_beyond_its_ends(number: int, file_bytes: int):
    with pytest.raises(ValueError, match=f"no chunk {number}: {file_bytes} bytes in chunks of 4"):
        chunk_span(number, 4, file_bytes)


def test_the_largest_body_is_what_the_server_takes():
    assert MAX_BODY_BYTES == 128 * MIB
