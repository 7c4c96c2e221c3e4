"""Every reader of files that others write: whatever is in them, it answers or refuses."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.metadata.metadata_order import read_columns
from deriva_watch.core.metadata.sources import read_manifest, read_types
from deriva_watch.core.orders.orders import parse
from deriva_watch.core.rows.table_files import TableFileError, csv_rows, json_rows, jsonl_rows
from deriva_watch.core.spec.spec import Spec

KEYS = st.sampled_from(
    [
        *("assets", "metadata", "asset_types", "Image/x", "schema", "rid", "columns", "kind", "a"),
        *("asset_mappings", "file_pattern", "column_map", "target_table", "hatrac_options"),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | KEYS
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(), inner, max_size=5)
    ),
    max_leaves=25,
)
SIGNS = st.sampled_from(
    [*'[]{}:,"\\\r\n\0a1', '"a"', "1e400", "NaN", "\ufeff", '""', "🦠", "\ud800"]
)
TEXTS = VALUES.map(json.dumps) | st.lists(SIGNS, max_size=40).map("".join)
BYTES = st.binary(max_size=60) | TEXTS.map(lambda text: text.encode(errors="surrogatepass"))


@patient
@given(TEXTS)
def test_a_manifest(text):
    found = read_manifest(text)

    assert not found.entries.keys() & found.problems.keys()
    assert all(isinstance(each.table, str) for each in found.entries.values())


@patient
@given(TEXTS)
def test_a_file_of_types(text):
    types, _ = read_types(text)

    assert all(isinstance(name, str) for names in types.values() for name in names)


@patient
@given(TEXTS)
def test_a_file_of_columns(text):
    with suppress(ValueError):
        assert all(isinstance(name, str) for name in read_columns(text))


@pytest.mark.parametrize(
    "reader",
    [
        lambda c: csv_rows(c.splitlines(keepends=True)),
        json_rows,
        lambda c: jsonl_rows(c.split(b"\n")),
    ],
    ids=["csv", "json", "jsonl"],
)
@patient
@given(content=BYTES)
def test_a_file_of_rows(reader, content):
    with suppress(TableFileError):
        for row in reader(content):
            assert all(isinstance(name, str) for name in row.cells)


@patient
@given(VALUES)
def test_an_order(document):
    with suppress(ValueError):
        parse(document)


@patient
@given(VALUES)
def test_a_bulk_specification(document):
    spec, problems = Spec.read(document)

    for mapping in spec.mappings if not problems else ():
        spec.match(f"/data/{mapping.number}", "/data")
