"""Rows out of files, as PostgreSQL would read them."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.rows.table_files import (
    TableFileError,
    csv_header,
    csv_rows,
    json_rows,
    jsonl_rows,
)


def read(text, reader=csv_rows):
    """Return the rows of a file, each with its place."""
    content = text if isinstance(text, bytes) else text.encode()
    return [(row.place, dict(row.cells)) for row in reader(io.BytesIO(content))]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", [("line 2", {"a": "1", "b": "2"})]),
        ("a,b\n1,2", [("line 2", {"a": "1", "b": "2"})]),
        ("a,b\r\n1,2\r\n", [("line 2", {"a": "1", "b": "2"})]),
        ("\ufeffa,b\n1,2\n", [("line 2", {"a": "1", "b": "2"})]),
        ('a,b\n,""\n', [("line 2", {"a": None, "b": ""})]),
        ('a,b\n"x, ""y""",z\n', [("line 2", {"a": 'x, "y"', "b": "z"})]),
        (
            'a,b\n"1\n2",3\n4,5\n',
            [("line 2", {"a": "1\n2", "b": "3"}), ("line 4", {"a": "4", "b": "5"})],
        ),
        ("a,b\n\n1,2\n\n", [("line 3", {"a": "1", "b": "2"})]),
        ("a\n\nx\n", [("line 2", {"a": None}), ("line 3", {"a": "x"})]),
        ('"a b",c\n 1 ,2\n', [("line 2", {"a b": " 1 ", "c": "2"})]),
        ("a,b\n", []),
        ("", []),
    ],
)
def test_csv_is_read_with_its_quotes_its_line_ends_and_its_nulls(text, rows):
    assert read(text) == rows


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("a,b\n1,2\n1,2,3\n", "line 3", "it has 3 fields, the header 2"),
        ("a,b\n1\n", "line 2", "it has 1 fields"),
        ('a,b\n1,"2\n3,4\n', "line 2", "does not end"),
        ('a,b\n1,2"3"\n', "line 2", "a quote inside"),
        ('a,b\n1,"2"3\n', "line 2", "after a quoted one"),
        (b"a,b\n1,2\n\xff,3\n", "line 3", "not UTF-8"),
        ("a,b\n1\r2,3\n", "line 2", "a carriage return without a line feed"),
        ("a,a\n1,2\n", "line 1", "names a twice"),
        ("a,\n1,2\n", "line 1", "without a name"),
    ],
)
def test_what_is_no_csv_is_named_with_its_line(text, place, why):
    with pytest.raises(TableFileError, match=why) as refusal:
        read(text)

    assert refusal.value.place == place


# PostgreSQL stores no NUL; a lone carriage return is refused outside of quotes.
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@patient
@given(st.lists(st.lists(_TEXTS, min_size=2, max_size=2), max_size=5))
def test_what_python_writes_is_read_again(rows):
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])

    assert [list(cells.values()) for _, cells in read(out.getvalue())] == rows


def test_a_header_with_more_columns_than_any_table_is_refused():
    header = ",".join(f"c{number}" for number in range(20_000)).encode()

    with pytest.raises(TableFileError, match="line 1: it has 20,000 columns, and no table has"):
        csv_header(io.BytesIO(header))


def test_the_header_alone_is_read_before_the_rows():
    assert csv_header(io.BytesIO(b'a,"b ""c"""\n1,2,3\n')) == ["a", 'b "c"']


def test_json_lines_are_objects_and_empty_lines_are_none():
    assert read('{"a": 1}\n\n{"b": null}\n', jsonl_rows) == [
        ("line 1", {"a": 1}),
        ("line 3", {"b": None}),
    ]


@pytest.mark.parametrize(("text", "why"), [("{", "not valid JSON"), ("[1]", "not an object")])
def test_a_line_that_is_no_object_is_named(text, why):
    with pytest.raises(TableFileError, match=f"line 2: it is {why}"):
        read("{}\n" + text, jsonl_rows)


def test_a_json_file_is_one_list_of_objects():
    content = json.dumps([{"a": 1}, {"a": None}]).encode()

    assert [(row.place, row.cells) for row in json_rows(content)] == [
        ("row 1", {"a": 1}),
        ("row 2", {"a": None}),
    ]
    for bad in (b"{}", b"[1]", b"nope"):
        with pytest.raises(TableFileError):
            list(json_rows(bad))


def test_a_long_quoted_field_with_text_after_it_is_refused_at_once():
    with pytest.raises(TableFileError, match="line 2: a quote inside"):
        list(csv_rows([b"a,b\n", b'"' + b"x" * 100_000 + b'"y,"z"\n']))
