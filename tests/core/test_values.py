"""Values of metadata columns: as a path segment, as JSON for a row, compared with a row."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.model import Column
from deriva_watch.core.values import NULL_SENTINEL, check, same, segment_from, value_from


def column(type_name: str, *, nullable: bool = True, has_default: bool = False) -> Column:
    return Column("c", type_name, nullable, has_default)


# ---------------------------------------------------------------- path segments


@patient
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80))
@example("")
@example(".")
@example("..")
@example(NULL_SENTINEL)
@example("%00")
@example("%5F_NULL__")
@example("deriva-ml")
def test_every_text_comes_back_from_its_segment(text: str):
    try:
        segment = segment_from(text)
    except ValueError:
        assert len(text) * 12 > 255  # four bytes, three characters each
        return

    assert value_from(segment) == text
    assert segment != NULL_SENTINEL
    assert "/" not in segment
    assert "\n" not in segment
    assert segment not in {"", ".", ".."}
    assert len(segment.encode()) <= 255


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        (None, "__NULL__"),
        ("4-AB2C", "4-AB2C"),
        ("2026-03-04 05:06:07", "2026-03-04 05:06:07"),
        ("2026-03-04T05:06:07+00:00", "2026-03-04T05:06:07%2B00:00"),
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("über 日本", "über 日本"),
        ("e\u0301", "e%CC%81"),
        ("line\nline", "line%0Aline"),
        ("...", "..."),
        ("", "%00"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        (NULL_SENTINEL, "%5F_NULL__"),
        ("deriva-ml", "deriva%2Dml"),
        ("None", "None"),
        (5, "5"),
        (True, "true"),
        (0.5, "0.5"),
        (["a"], "%5B%22a%22%5D"),
    ],
)
def test_a_segment_reads_as_its_value_where_it_can(value: object, segment: str):
    assert segment_from(value) == segment


@pytest.mark.parametrize("value", ["\0", "a\0b", "\udc80"])
def test_what_no_catalog_can_store_is_refused_by_name(value: str):
    with pytest.raises(ValueError, match="is not a text that a catalog can store") as refusal:
        segment_from(value)

    assert repr(value) in str(refusal.value)
    str(refusal.value).encode()  # the sentence itself can be written down


@pytest.mark.parametrize("value", ["x" * 255, "%" * 85, "é" * 127])
def test_a_segment_is_as_long_as_a_file_system_takes(value: str):
    assert len(segment_from(value).encode()) in {254, 255}

    with pytest.raises(ValueError, match=f"{len(value) + 1} characters is too long"):
        segment_from(value + value[0])


@pytest.mark.parametrize(
    ("segment", "value"),
    [
        ("__NULL__", None),
        ("100%", "100%"),  # written by hand: what is no code stands for itself
        ("50%zz", "50%zz"),
        ("None", "None"),
        ("a b+c", "a b+c"),
        ("%FF", "\udcff"),  # no UTF-8: no text column takes it
    ],
)
def test_a_segment_that_we_did_not_write_is_read_as_well(segment: str, value: str | None):
    assert value_from(segment) == value


# ---------------------------------------------------------------- what a column takes


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("text", "x", "x"),
        ("text", "", ""),
        ("text", "\ud7ff\ue000", "\ud7ff\ue000"),
        ("text", 5, "5"),
        ("text", True, "true"),
        ("markdown", {"a": 1}, '{"a": 1}'),
        ("int4", "7", 7),
        ("int4", " -7\n", -7),
        ("int8", 2**63 - 1, 2**63 - 1),
        ("int2", "-32768", -32768),
        ("float8", "1e-3", 0.001),
        ("float8", 3, 3),
        ("float8", "NaN", "NaN"),
        ("float8", float("inf"), "Infinity"),
        ("float4", "-infinity", "-Infinity"),
        ("boolean", "TRUE", True),
        ("boolean", "f", False),
        ("boolean", False, False),
        ("date", "2026-02-28", "2026-02-28"),
        ("timestamp", "2026-03-04 05:06:07", "2026-03-04 05:06:07"),
        ("timestamp", "2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z"),
        ("timestamptz", "2026-03-04T05:06:07.25+02:00", "2026-03-04T05:06:07.25+02:00"),
        ("time", "05:06", "05:06"),
        ("jsonb", '{"a": [1]}', {"a": [1]}),
        ("json", [1, None], [1, None]),
        ("text[]", ["a"], ["a"]),
        ("ermrest_rid", "4-AB2C", "4-AB2C"),
    ],
)
def test_a_value_of_the_type_becomes_json(type_name: str, value: object, expected: object):
    assert check(column(type_name), value) == expected


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("text", "a\0b"),
        *(("text", chr(surrogate)) for surrogate in (0xD800, 0xDCFF, 0xDFFF)),
        ("int4", "7.0"),
        ("int4", "seven"),
        ("int4", 7.5),
        ("int4", True),
        ("int4", "\u0667"),
        ("int2", 32768),
        ("int2", -32769),
        ("int4", "2147483648"),
        ("int8", 2**63),
        ("int8", "9" * 5000),
        ("float8", "x"),
        ("float8", True),
        ("float8", "1e400"),
        ("float4", 1e39),
        ("float8", [1]),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("date", "2026-02-30"),
        ("date", "2026-03-04 05:06:07"),
        ("date", 20260304),
        ("timestamp", "yesterday"),
        ("timestamptz", 5),
        ("time", "25:00"),
        ("time", "2026-03-04"),
        ("json", "{"),
        ("jsonb", {"a": float("nan")}),
        ("jsonb", "[NaN]"),
        ("jsonb", ["\udcff"]),
        ("jsonb", "[" * 100_000),
        ("uuid", "\udcff"),
        ("ermrest_rid", "a\0b"),
    ],
)
def test_what_the_type_does_not_take_is_refused_with_value_type_and_column(
    type_name: str, value: object
):
    with pytest.raises(ValueError, match=f"is not a valid {type_name} for column c") as refusal:
        check(column(type_name), value)

    assert len(str(refusal.value)) < 300
    str(refusal.value).encode()


def test_a_utc_offset_that_the_column_cannot_keep_is_refused():
    """PostgreSQL would store 05:06:07 and say nothing."""
    with pytest.raises(ValueError, match="has a UTC offset, which column c "):
        check(column("timestamp"), "2026-03-04T05:06:07+02:00")


@pytest.mark.parametrize(
    ("nullable", "has_default", "fits"),
    [(True, False, True), (False, True, True), (True, True, True), (False, False, False)],
)
def test_null_fits_where_the_column_allows_it_or_fills_it(
    nullable: bool, has_default: bool, fits: bool
):
    there = column("text", nullable=nullable, has_default=has_default)

    if fits:
        assert check(there, None) is None
    else:
        with pytest.raises(ValueError, match="column c must have a value"):
            check(there, None)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
_TYPES = (
    *("text", "markdown", "int2", "int4", "int8", "float4", "float8", "boolean", "json", "jsonb"),
    *("date", "timestamp", "timestamptz", "time", "text[]", "uuid", "ermrest_rid"),
)


@patient
@given(type_name=st.sampled_from(_TYPES), value=_JSON)
def test_any_json_is_taken_or_refused_and_what_is_taken_can_be_sent(type_name: str, value: object):
    """One value must not make the body of a whole batch impossible to write."""
    try:
        taken = check(column(type_name), value)
    except ValueError:
        return

    json.dumps(taken, allow_nan=False, ensure_ascii=False).encode()
    assert same(column(type_name), taken, taken)
    assert check(column(type_name), taken) == taken


# ---------------------------------------------------------------- the same value


@pytest.mark.parametrize(
    ("type_name", "one", "other", "equal"),
    [
        ("text", "a", "a", True),
        ("text", "a", "A", False),
        ("text", "5", 5, True),
        ("text", None, "a", False),
        ("text", None, "None", False),
        ("text", None, None, True),
        ("int8", "7", 7, True),
        ("int8", 2**60, 2**60 + 1, False),
        ("float8", "0.10", 0.1, True),
        ("float8", 0.1, 0.2, False),
        ("float8", "NaN", "NaN", True),
        ("float8", "NaN", 1.0, False),
        ("float4", 0.123456789, 0.12345679, True),  # what PostgreSQL gives back of it
        ("float4", 0.123456789, 0.12345, False),
        ("boolean", "true", True, True),
        ("boolean", "t", False, False),
        ("date", "2026-03-04", "2026-03-04", True),
        ("timestamp", "2026-03-04 05:06:07", "2026-03-04T05:06:07", True),
        ("timestamp", "2026-03-04T05:06:07+00:00", "2026-03-04T05:06:07", True),
        ("timestamp", "2026-03-04T05:06:07", "2026-03-04T05:06:08", False),
        ("timestamptz", "2026-03-04T05:06:07+00:00", "2026-03-04T07:06:07+02:00", True),
        ("timestamptz", "2026-03-04T05:06:07+00:00", "2026-03-04T05:06:07+02:00", False),
        # PostgreSQL reads and writes it in the zone of the session.
        ("timestamptz", "2026-03-04 05:06:07", "2026-03-04T05:06:07-08:00", True),
        ("timestamptz", "2026-03-04 05:06:07", "2026-03-04T06:06:07-08:00", False),
        ("time", "05:06", "05:06:00", True),
        ("jsonb", '{"a": 1, "b": 2}', {"b": 2, "a": 1}, True),
        ("jsonb", [1], [2], False),
        ("uuid", "x", "x", True),
        ("int8", "seven", "seven", True),  # not for us to say that it is wrong
        ("int8", "seven", 7, False),
        ("date", 5, "2026-03-04", False),
        ("boolean", "maybe", True, False),
    ],
)
def test_two_values_are_the_same_by_their_meaning(
    type_name: str, one: object, other: object, equal: bool
):
    assert same(column(type_name), one, other) is equal
    assert same(column(type_name), other, one) is equal
