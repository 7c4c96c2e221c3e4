"""The bulk spec: made from a model, read from a document, applied to paths."""

from typing import Any

import pytest

from core.given import ASSET, BOX, IMAGE, MODEL, NAMES, ROOT, SPEC, asset_table, model_of, taken
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import TableName
from deriva_watch.core.spec.bulk_spec import asset_table_upload_spec, bulk_upload_configuration
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.spec.templates import environment, object_name, row


def image_path(*segments: str) -> str:
    return "/".join((ROOT, "asset/demo/Image", *segments))


# ---------------------------------------------------------------- as a document


def test_the_mapping_of_an_asset_table_is_the_one_that_deriva_py_knows():
    spec = asset_table_upload_spec(MODEL, "Image", chunk_size=1000)

    pattern = spec.pop("file_pattern")
    assert "/asset/demo/Image/" in pattern
    assert spec == {
        "column_map": {
            "MD5": "{md5}",
            "URL": "{URI}",
            "Length": "{file_size}",
            "Filename": "{file_name}",
            "RID": "{RID}",
            "Acquisition_Date": "{Acquisition_Date}",
            "Acquisition_Time": "{Acquisition_Time}",
            "Observation": "{Observation}",
            "Subject": "{Subject}",
        },
        "asset_type": "file",
        "target_table": ["demo", "Image"],
        "checksum_types": ["sha256", "md5"],
        "hatrac_options": {"versioned_urls": True, "chunk_size": 1000},
        "hatrac_templates": {
            "hatrac_uri": "/hatrac/Image/{md5}.{file_name}",
            "content-disposition": "filename*=UTF-8''{file_name}",
        },
        "record_query_template": "/entity/{target_table}/MD5={md5}&Filename={file_name}",
        "use_pre_allocated_rid": True,
        "pre_processors": [
            {
                "processor": "NullSentinelProcessor",
                "processor_type": "deriva_watch.NullSentinelProcessor",
            }
        ],
    }


def test_a_table_without_metadata_needs_no_processor_and_no_chunk_size():
    spec = asset_table_upload_spec(MODEL, BOX)

    assert "pre_processors" not in spec
    assert spec["hatrac_options"] == {"versioned_urls": True}


def test_the_configuration_has_every_asset_table_and_then_the_rows_of_tables():
    document = bulk_upload_configuration(MODEL)

    *assets, rows = document["asset_mappings"]
    assert [tuple(mapping["target_table"]) for mapping in assets] == [
        table.full_name for table in MODEL.find_assets()
    ]
    assert rows["asset_type"] == "table"
    assert rows["default_columns"] == ["RID", "RCB", "RMB", "RCT", "RMT"]
    assert rows["target_table"] == ["{schema}", "{table}"]
    assert document["version_compatibility"] == [[">=1.4.0", "<2.0.0"]]


def test_the_chunk_size_reaches_every_asset_mapping():
    spec = Spec(bulk_upload_configuration(MODEL, 4096))

    assert {m.chunk_bytes for m in spec.mappings if m.asset_type == "file"} == {4096}


# ---------------------------------------------------------------- which path it takes


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rid", [(), ("4-AB2C",), ("536",)])
def test_any_file_name_is_taken_with_and_without_a_rid_segment(name: str, rid: tuple[str, ...]):
    path = image_path("2026-03-04", "__NULL__", "__NULL__", "4T6", *rid, name)

    match = taken(path)
    plain = taken("/".join((ROOT, "asset/deriva-ml/Execution_Asset", *rid, name)))

    assert match.table == IMAGE
    assert plain.table == ASSET
    assert match.groups["Subject"] == "4T6"
    assert match.groups.get("RID") == plain.groups.get("RID") == (rid[0] if rid else None)
    assert row(match, environment(match, name, {}))["Filename"] == name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.png", ("a", "png")),
        ("data.tar.gz", ("data.tar", "gz")),
        ("noextension", ("noextension", None)),
        (".hidden", (".hidden", None)),
        ("trailingdot.", ("trailingdot", "")),
        ("line\nbreak.txt", ("line\nbreak", "txt")),
        ("line.txt\n", ("line", "txt\n")),
    ],
)
def test_a_name_is_cut_at_its_last_dot(name: str, parts: tuple[str, str | None]):
    groups = taken(image_path("1", "2", "3", "4", name)).groups

    assert (groups["file"], groups.get("ext")) == parts


@pytest.mark.parametrize(
    "path",
    [
        image_path("2026-03-04", "x", "4T6", "a.png"),  # too few
        image_path("1", "2", "3", "4", "5", "6", "a.png"),  # too many
        image_path("1", "2", "3", "4", "lower", "a.png"),  # no RID
        image_path("1", "2", "3", "4", ""),
        f"{ROOT}/asset/demo/image/1/2/3/4/a.png",
        f"{ROOT}/asset/demo/Subject/a.png",
        f"{ROOT}/assets/Image/a.png",
        f"{ROOT}/table/demo/Subject/Other.csv",
        f"{ROOT}/table/demo/Subject/Subject.txt",
        "/data/execution/4-AB2C/asset/demo/BoundingBox/a.json",
    ],
)
def test_other_paths_are_not_taken(path: str):
    assert SPEC.match(path) is None


@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/table/demo/Subject/Subject.csv",
        f"{ROOT}/table/demo/Subject/Subject.json",
        "/data/deriva-ml/table/demo/Subject/Subject.csv",  # what `table_path` builds
    ],
)
def test_rows_of_tables_are_taken_inside_and_outside_of_an_execution(path: str):
    match = taken(path)

    assert match.mapping.asset_type == "table"
    assert match.table == TableName("demo", "Subject")


def test_the_last_execution_in_a_path_is_the_one():
    """As where links of an uploader repeat the whole tree below upload-staging."""
    match = taken(f"{ROOT}/upload-staging/deriva-ml/execution/4-X/asset/demo/BoundingBox/a.json")

    assert match.groups["execution_rid"] == "4-X"


def test_the_first_mapping_that_fits_takes_the_file():
    mapping = {"target_table": ["s", "t"], "file_pattern": "x"}
    spec = Spec({"asset_mappings": [mapping | {"file_pattern": "no"}, mapping, mapping]})

    assert taken("/a/x/b", spec).mapping.number == 1


# ---------------------------------------------------------------- odd names


ODD = [
    *("a b", "a-b", "2nd", "ä", "x/y", "{brace}", "100%", "\u2118"),  # no name of a group
    *("file", "ext", "execution_rid"),  # groups of every pattern
    *("file_name", "file_size", "file_ext", "md5", "sha256", "md5_base64", "target_table"),
    *("URI", "base_name", "base_path"),  # names that templates use
    *("column_0", "column_1", "class", "None"),
]


def test_columns_of_any_name_are_filled():
    table = asset_table(**dict.fromkeys(ODD, "text"))
    spec = Spec(bulk_upload_configuration(model_of(table)))
    values = [f"v{number}" for number in range(len(ODD))]

    match = taken("/".join((ROOT, "asset/lab/Thing", *values, "a.b")), spec)
    said = {column: match.groups[group] for column, group in match.mapping.groups.items()}
    made = row(match, environment(match, "a.b", said) | {"md5": "0", "file_size": 7, "URI": "/h"})

    expected = dict(zip(sorted(ODD), values, strict=True))
    assert said == expected
    assert made == expected | {"Filename": "a.b", "MD5": "0", "Length": 7, "URL": "/h"}


def test_a_table_of_any_name_has_its_path_and_its_objects():
    table = asset_table("A (b) %c+d")
    spec = Spec(bulk_upload_configuration(model_of(table)))

    match = taken(f"{ROOT}/asset/lab/A (b) %c+d/x.bin", spec)

    made = object_name(match, environment(match, "x.bin", {}) | {"md5": "0"})

    assert match.table == table.full_name
    assert made == "/hatrac/A%20%28b%29%20%25c%2Bd/0.x.bin"


# ---------------------------------------------------------------- specs of other people


MAPPING: dict[str, Any] = {"target_table": ["s", "t"], "file_pattern": "x"}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({}, "asset_mappings"),
        ({"asset_mappings": None}, "asset_mappings"),
        ({"asset_mappings": {}}, "asset_mappings"),
        ([], "asset_mappings"),
        ({"asset_mappings": ["x"]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING, {}]}, "asset_mappings[1]"),
        ({"asset_mappings": [MAPPING | {"file_pattern": "("}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"file_pattern": 5}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"target_table": ["t"]}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"target_table": [1, 2]}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"target_table": ["{0}", "t"]}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"target_table": ["{", "t"]}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"target_table": ["{nobody}", "t"]}]}, "nobody"),
        ({"asset_mappings": [MAPPING | {"column_map": []}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"column_map": {"C": 5}}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"column_map": {"C": "{a"}}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"column_map": {"C": "{md5:d}"}}]}, "asset_mappings[0]"),
        ({"asset_mappings": [MAPPING | {"hatrac_templates": None}]}, "asset_mappings[0]"),
        (
            {"asset_mappings": [MAPPING | {"hatrac_templates": {"hatrac_uri": "{"}}]},
            "asset_mappings[0]",
        ),
        (
            {"asset_mappings": [MAPPING | {"hatrac_options": {"chunk_size": "25MiB"}}]},
            "asset_mappings[0]",
        ),
        (
            {"asset_mappings": [MAPPING | {"hatrac_options": {"chunk_size": 0}}]},
            "asset_mappings[0]",
        ),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused_with_the_place(document: Any, why: str):
    with pytest.raises(RefusedError) as refusal:
        Spec(document)

    assert why in str(refusal.value)
    assert "deriva-watch spec" in refusal.value.next


def test_a_path_that_does_not_say_its_table_is_refused():
    mapping = {"target_table": ["s", "{t}"], "file_pattern": "x(?P<t>y)?"}
    match = taken("x", Spec({"asset_mappings": [mapping]}))

    with pytest.raises(RefusedError, match="neither its target_table nor a group"):
        _ = match.table
