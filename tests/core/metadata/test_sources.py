"""Manifests and asset-type files: what is right is used, what is wrong is a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.metadata.sources import Manifest, Statement, read_manifest, read_types


def manifest(**entries: object) -> Manifest:
    """Read a manifest with entries such as Image__a, which stands for "Image/a"."""
    assets = {key.replace("__", "/"): entry for key, entry in entries.items()}
    return read_manifest(json.dumps({"version": 1, "execution_rid": "4-AB2C", "assets": assets}))


def test_an_entry_says_all_that_a_row_needs():
    found = manifest(
        Image__a={
            "asset_table": "Image",
            "schema": "demo",
            "asset_types": ["Image", "Thumb Nail"],
            "metadata": {"Subject": "4T6", "Acquisition_Date": None},
            "description": "A scan.",
            "status": "pending",
            "rid": "4-XY",
            "uploaded_at": None,
            "error": None,
            "something new": {"a": 1},
        }
    )

    assert found.problems == {}
    assert found.entries == {
        "Image/a": Statement(
            source="the manifest",
            schema="demo",
            table="Image",
            metadata={"Subject": "4T6", "Acquisition_Date": None},
            types=("Image", "Thumb Nail"),
            description="A scan.",
            rid="4-XY",
        )
    }


def test_what_an_entry_leaves_out_is_no_statement():
    found = manifest(Image__a={})

    assert found == Manifest({"Image/a": Statement("the manifest", "Image")}, {})


@pytest.mark.parametrize(
    ("status", "rid", "recorded"),
    [("uploaded", "4-XY", True), ("uploaded", None, False), ("pending", "4-XY", False)],
)
def test_an_asset_is_recorded_if_it_is_uploaded_and_has_a_row(
    status: str, rid: str | None, recorded: bool
):
    found = manifest(Image__a={"status": status, "rid": rid})

    assert found.entries["Image/a"].recorded is recorded


@pytest.mark.parametrize("text", ["{}", '{"assets": {}}', '{"version": 1, "assets": {}}'])
def test_a_manifest_may_name_nothing(text: str):
    assert read_manifest(text) == Manifest({}, {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ('{"assets": {"Image/a": {}}', "not valid JSON"),  # cut while it was written
        ("\ufeff{}", "not valid JSON"),
        ("\0" * 100, "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('"assets"', "not a JSON object"),
        ("5", "not a JSON object"),
        ('{"assets": []}', '"assets" is not an object'),
        ('{"assets": null}', '"assets" is not an object'),
        ('{"assets": "x"}', '"assets" is not an object'),
    ],
)
def test_a_broken_manifest_is_one_problem(text: str, why: str):
    found = read_manifest(text)

    assert found.entries == {}
    assert found.problems.keys() == {""}
    assert "asset-manifest.json" in found.problems[""]
    assert why in found.problems[""]


@pytest.mark.parametrize(
    ("key", "entry", "why"),
    [
        ("Image/bad", None, "not an object"),
        ("Image/bad", [], "not an object"),
        ("Image/bad", "x", "not an object"),
        ("bad", {}, '"<Table>/<file>"'),
        ("/bad", {}, '"<Table>/<file>"'),
        ("Image/", {}, '"<Table>/<file>"'),
        ("Image/deep/bad", {}, '"<Table>/<file>"'),
        ("Image/" + "x" * 4096, {}, '"<Table>/<file>"'),
        ("", {}, '"<Table>/<file>"'),
        ("Image/bad", {"metadata": []}, '"metadata" is not an object'),
        ("Image/bad", {"metadata": "x"}, '"metadata" is not an object'),
        ("Image/bad", {"metadata": 0}, '"metadata" is not an object'),
        ("Image/bad", {"asset_types": "Image"}, '"asset_types" is not a list of names'),
        ("Image/bad", {"asset_types": [1]}, '"asset_types" is not a list of names'),
        ("Image/bad", {"asset_types": {}}, '"asset_types" is not a list of names'),
        ("Image/bad", {"description": 5}, '"description" is not a string'),
        ("Image/bad", {"description": "\ud800"}, '"description" is not a string'),
        ("Image/bad", {"description": "a\0b"}, '"description" is not a string'),
        ("Image/bad", {"rid": ["4-XY"]}, '"rid" is not a string'),
        ("Image/bad", {"rid": "\udcff"}, '"rid" is not a string'),
        ("Image/bad", {"schema": {}}, '"schema" is not a string'),
        ("Image/bad", {"asset_table": True}, '"asset_table" is not a string'),
    ],
)
def test_a_broken_entry_is_named_and_stops_no_other(key: str, entry: object, why: str):
    text = json.dumps({"assets": {key: entry, "Image/good": {}}})

    found = read_manifest(text)

    assert found.entries.keys() == {"Image/good"}
    assert found.problems.keys() == {key}
    assert repr(key) in found.problems[key]
    assert why in found.problems[key]


_ODD = st.sampled_from([None, True, 5, 0.5, "", "x", "\ud800", [], ["T"], [1], {}, {"a": [1]}])
_FIELDS = ("asset_table", "schema", "asset_types", "metadata", "description", "rid", "status")
_ENTRY = _ODD | st.dictionaries(st.sampled_from(_FIELDS), _ODD)


@patient
@given(assets=st.dictionaries(st.sampled_from(["Image/a", "b/c", "x", ""]) | st.text(), _ENTRY))
def test_every_entry_of_any_manifest_is_a_statement_or_a_problem(assets: dict[str, object]):
    found = read_manifest(json.dumps({"assets": assets}))

    assert found.entries.keys() | found.problems.keys() == assets.keys()
    assert found.entries.keys().isdisjoint(found.problems.keys())
    assert all(found.problems.values())


# ---------------------------------------------------------------- asset types


def test_the_last_line_of_a_name_wins():
    text = '{"a.png": ["Image"]}\n{"b.png": ["Image"]}\n{"a.png": ["Thumb Nail", "Image"]}\n'

    assert read_types(text) == ({"a.png": ("Thumb Nail", "Image"), "b.png": ("Image",)}, [])


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("", {}),
        ("\n  \n\n", {}),
        ('{"a": []}', {"a": ()}),
        ('{"a": ["T"], "b": ["U"]}', {"a": ("T",), "b": ("U",)}),
        ('{"a": ["T"]}\r\n{"b": ["U"]}\r\n', {"a": ("T",), "b": ("U",)}),
        # Line ends to str.splitlines, but none to JSON or to a file system.
        ('{"a\u2028b\x85.png": ["T"]}', {"a\u2028b\x85.png": ("T",)}),
    ],
)
def test_types_are_read_a_line_at_a_time(text: str, types: dict[str, tuple[str, ...]]):
    assert read_types(text) == (types, [])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"a": ["T"]', "line 2 is not valid JSON"),
        ('{"a": ["T"]}{"b": ["T"]}', "line 2 is not valid JSON"),
        ("[" * 100_000, "line 2 is not valid JSON"),
        ("[]", "line 2 is not {file: [types]}"),
        ("null", "line 2 is not {file: [types]}"),
        ('{"a": "T"}', "line 2 is not {file: [types]}"),
        ('{"a": ["T"], "b": [1]}', "line 2 is not {file: [types]}"),
        ('{"a": null}', "line 2 is not {file: [types]}"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_stops_no_other(line: str, why: str):
    types, problems = read_types(f'{{"first": ["T"]}}\n{line}\n{{"last": ["T"]}}')

    assert types.keys() == {"first", "last"}
    assert len(problems) == 1
    assert problems[0].startswith(why)


def test_many_lines_that_cannot_be_read_are_counted():
    types, problems = read_types("x\n" * 30 + '{"last": ["T"]}')

    assert types.keys() == {"last"}
    assert len(problems) == 11
    assert problems[-1] == "and 20 more lines cannot be read"


def test_a_file_with_too_many_lines_is_not_read():
    types, problems = read_types('{"first": ["T"]}' + "\n" * 1_000_001)

    assert not types
    assert problems == ["it has 1,000,001 lines; no more than 1,000,000 are read"]


@patient
@given(
    types=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8")), st.lists(st.sampled_from("TUV"), max_size=3)
        )
    ),
    ascii_only=st.booleans(),
)
def test_what_a_program_appends_is_read(types: list[tuple[str, list[str]]], ascii_only: bool):
    lines = [json.dumps({name: names}, ensure_ascii=ascii_only) for name, names in types]

    read, problems = read_types("".join(f"{line}\n" for line in lines))

    assert problems == []
    assert read == {name: tuple(names) for name, names in types}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"assets": {"Image/x": {}, "Image/x": {}, "Image/y": {}}}', "it occurs twice"),
        (
            '{"assets": {"Image/x": {"metadata": {"S": 1, "S": 2}}, "Image/y": {}}}',
            "metadata names 'S' twice",
        ),
        ('{"assets": {"Image/x": {"rid": "1", "rid": "1"}, "Image/y": {}}}', "names 'rid' twice"),
    ],
)
def test_an_entry_that_says_something_twice_is_named_and_stops_no_other(text: str, why: str):
    found = read_manifest(text)

    assert found.entries.keys() == {"Image/y"}
    assert found.ambiguous == found.problems.keys() == {"Image/x"}
    assert "'Image/x'" in found.problems["Image/x"]
    assert why in found.problems["Image/x"]


def test_a_manifest_with_two_lists_of_assets_is_one_problem():
    found = read_manifest('{"assets": {"Image/x": {}}, "assets": {}}')

    assert found == Manifest({}, {"": "asset-manifest.json names 'assets' twice"})


def test_a_number_that_no_catalog_takes_is_told_with_its_place():
    found = read_manifest('{"assets": {"Image/x": {"metadata": {"Size": 1e400}}}}')

    assert "Image/x.metadata.Size is 1e400" in found.problems[""]
