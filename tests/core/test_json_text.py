"""JSON of others is read as `json` does, within limits; what is wrong is told with its place."""

import io
import json
import math
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.json_text import JsonError, as_text, read_json, read_repeated, read_whole

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
PIECES = st.sampled_from(
    [*'[]{}:,"\\\n\0a1', '"a":', "1e400", "NaN", "-Infinity", "\\u0000", "\ufeff", "9" * 400]
)


@patient
@given(VALUES)
def test_what_json_writes_is_read(value):
    assert read_json(json.dumps(value)) == value


@patient
@given(st.lists(PIECES | VALUES.map(json.dumps), max_size=30).map("".join))
def test_whatever_a_text_is_it_is_read_as_json_does_or_refused(text):
    try:
        found = read_json(text)
    except JsonError:
        return

    assert found == json.loads(text)
    json.dumps(found, allow_nan=False)


@patient
@given(st.binary(max_size=60))
def test_whatever_bytes_are_they_are_read_or_refused(content):
    with suppress(JsonError):
        read_json(content)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 1}', "it names 'a' twice"),
        ('{"a": [{}, {"b": {"c": 1, "c": 2}}]}', "a[1].b names 'c' twice"),
        ('{"a": [1, 1e400]}', "a[1] is 1e400, which is not a finite number"),
        ('[{"a": NaN}]', "[0].a is NaN, which is not a finite number"),
        ("-Infinity", "it is -Infinity, which is not a finite number"),
        ("[" * 100_000, "it is nested too deeply: more than 100 levels"),
        ('{"a":' * 100_000, "it is nested too deeply: more than 100 levels"),
        ("[" * 101 + "]" * 101, "it is nested too deeply: more than 100 levels"),
        ("9" * 10_000, "it has a number with too many digits"),
        ("[" + "[]," * 2_000_001, "it has more than 4,000,000 values"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
    ids=lambda text: text[:20],
)
def test_what_cannot_be_used_is_told_with_its_place(text, why):
    with pytest.raises(JsonError) as raised:
        read_json(text)

    assert str(raised.value) == why


def test_a_long_name_above_a_deep_place_is_not_kept_for_each_level():
    text = f'{{"{"A" * (4 << 20)}": {"[" * 90}NaN{"]" * 90}}}'
    tracemalloc.start()
    try:
        with pytest.raises(JsonError, match="NaN, which is not a finite number"):
            read_json(text)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 10 * len(text)


def test_a_hundred_levels_are_read():
    assert read_json("[" * 100 + "]" * 100)


def test_an_object_that_names_something_twice_can_be_told_from_others():
    found = read_repeated('{"a": {"b": 1, "b": 2, "c": 3}, "d": {}}')

    assert found["a"].names == {"b"}
    assert type(found["d"]) is dict


def test_numbers_keep_their_kind():
    assert read_json("[1, 1.0, -0.0, 1e3]") == [1, 1.0, 0.0, 1000.0]
    assert math.copysign(1, read_json("-0.0")) == -1


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"a\0", "it has a NUL byte at byte 1"), (b"ab\xff", "it is not UTF-8 at byte 2")],
)
def test_bytes_that_are_no_text_are_told_with_their_place(content, why):
    with pytest.raises(JsonError, match=why):
        as_text(content)


def test_no_more_is_read_than_may_be():
    file = io.BytesIO(bytes(3 << 20))

    with pytest.raises(JsonError, match="it is larger than 2 MiB"):
        read_whole(file, 2 << 20)
    assert file.tell() == (2 << 20) + 1
