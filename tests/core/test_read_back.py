"""Which parts of an object are read back."""

from hypothesis import given
from hypothesis import strategies as st

from deriva_watch.core.read_back import PART_BYTES, SAMPLE_BYTES, sample, whole

SIZES = st.integers(0, 10 * SAMPLE_BYTES) | st.integers(0, 5 * PART_BYTES)
CHANCES = st.floats(0, 1, exclude_max=True)


@given(SIZES, CHANCES)
def test_a_sample_has_both_ends_and_never_the_whole_object_at_once(size_bytes, chance):
    spans = list(sample(size_bytes, chance))

    assert all(0 < span.size_bytes <= SAMPLE_BYTES for span in spans)
    assert all(span.size_bytes < size_bytes for span in spans if size_bytes > 1)
    ends = [span.first + span.size_bytes for span in spans]
    assert [span.first for span in spans[1:]] >= ends[:-1]  # none twice
    if size_bytes:
        assert (spans[0].first, ends[-1]) == (0, size_bytes)
    if size_bytes >= 3 * SAMPLE_BYTES:
        assert [span.size_bytes for span in spans] == [SAMPLE_BYTES] * 3
    else:
        assert sum(span.size_bytes for span in spans) == size_bytes


@given(CHANCES)
def test_every_byte_between_the_ends_may_be_in_the_block_at_random(chance):
    size_bytes = 4 * SAMPLE_BYTES
    firsts = [list(sample(size_bytes, each))[1].first for each in (0.0, chance, 1 - 2**-53)]

    assert firsts[0] == SAMPLE_BYTES
    assert firsts[2] + SAMPLE_BYTES == 3 * SAMPLE_BYTES
    assert firsts[0] <= firsts[1] <= firsts[2]


@given(SIZES)
def test_all_parts_are_the_object_and_none_is_all_of_it(size_bytes):
    spans = list(whole(size_bytes))

    assert [span.first for span in spans] == [
        sum(span.size_bytes for span in spans[:number]) for number in range(len(spans))
    ]
    assert sum(span.size_bytes for span in spans) == size_bytes
    assert all(span.size_bytes < size_bytes for span in spans if size_bytes > 1)
