"""The path builders: what they name, what they create, what they refuse."""

import inspect
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from deriva.core.ermrest_model import Model
from hypothesis import given
from hypothesis import strategies as st

from core.given import BOX, DOCUMENT, IMAGE, MODEL, NAMES, asset_table, model_of, patient
from deriva_watch.core.errors import DerivaMLException
from deriva_watch.core.metadata.agreement import checked_values
from deriva_watch.core.metadata.metadata_order import read_columns
from deriva_watch.core.model import Table
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.values import NULL_SENTINEL, value_from
from deriva_watch.library import staging
from deriva_watch.library.staging import asset_file_path, execution_rids, normalize_asset_dir

IMAGES = MODEL.name_to_table(IMAGE)
TABLE = SimpleNamespace(name="Image", schema=SimpleNamespace(name="demo"), columns=())


@pytest.mark.parametrize(
    ("build", "path", "made"),
    [
        (staging.upload_root, "", "."),
        (lambda p: staging.execution_root(p, "4-A"), "execution/4-A", "."),
        (lambda p: staging.asset_root(p, "4-A"), "execution/4-A/asset", "."),
        (lambda p: staging.flat_asset_dir(p, "4-A", "Image"), "execution/4-A/assets/Image", "."),
        (lambda p: staging.upload_staging_root(p, "4-A"), "execution/4-A/upload-staging", "."),
        (lambda p: staging.manifest_path(p, "4-A"), "execution/4-A/asset-manifest.json", ".."),
        (
            lambda p: staging.table_path(p, "demo", "Subject"),
            "table/demo/Subject/Subject.csv",
            "..",
        ),
        (
            lambda p: staging.asset_type_path(p, "4-A", TABLE),
            "execution/4-A/asset-type/demo/Image.jsonl",
            "..",
        ),
        (
            lambda p: asset_file_path(p, "4-A", TABLE, "a.png", {}),
            "execution/4-A/asset/demo/Image/a.png",
            "..",
        ),
    ],
)
@pytest.mark.parametrize("kind", [Path, str])
def test_a_builder_names_its_path_and_creates_the_directories_only(
    tmp_path: Path,
    build: Callable[[Path | str], Path],
    path: str,
    made: str,
    kind: Callable[[Path], Path | str],
):
    """It can be called again, and the prefix may be a path or a string."""
    build(kind(tmp_path))
    built = build(kind(tmp_path))

    assert built == tmp_path / "deriva-ml" / path
    assert (built / made).resolve().is_dir()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_the_parameters_are_those_of_the_original_utilities():
    signatures = {
        "upload_root": ["prefix"],
        "execution_rids": ["prefix"],
        "execution_root": ["prefix", "exec_rid"],
        "asset_root": ["prefix", "exec_rid"],
        "flat_asset_dir": ["prefix", "exec_rid", "asset_table_name"],
        "upload_staging_root": ["prefix", "exec_rid"],
        "manifest_path": ["prefix", "exec_rid"],
        "table_path": ["prefix", "schema", "table"],
        "asset_file_path": ["prefix", "exec_rid", "asset_table", "file_name", "metadata"],
        "asset_type_path": ["prefix", "exec_rid", "asset_table"],
        "normalize_asset_dir": ["path"],
    }

    found = {
        name: list(inspect.signature(getattr(staging, name)).parameters) for name in signatures
    }

    assert found == signatures


def test_execution_rids_are_the_directories_and_nothing_else(tmp_path: Path):
    for rid in ("4-B", "4-A"):
        staging.execution_root(tmp_path, rid)
    (tmp_path / "deriva-ml/execution/notes.txt").write_text("no execution")

    assert execution_rids(tmp_path) == ["4-A", "4-B"]
    assert execution_rids(str(tmp_path)) == ["4-A", "4-B"]


def test_looking_for_executions_creates_nothing(tmp_path: Path):
    assert execution_rids(tmp_path / "absent") == []
    assert list(tmp_path.iterdir()) == []


def test_metadata_directories_follow_the_sorted_column_names(tmp_path: Path):
    metadata = {"Subject": "4T6", "Acquisition_Date": "2026-03-04"}

    path = asset_file_path(tmp_path, "4-A", IMAGES, "scan.v2.png", metadata)

    # Acquisition_Date / Acquisition_Time / Observation / Subject
    expected = "asset/demo/Image/2026-03-04/__NULL__/__NULL__/4T6/scan.v2.png"
    assert path == tmp_path / "deriva-ml/execution/4-A" / expected
    assert path.parent.is_dir()


def test_the_order_does_not_depend_on_how_the_table_lists_its_columns(tmp_path: Path):
    backwards = SimpleNamespace(
        name=IMAGES.name, schema=IMAGES.schema, columns=IMAGES.columns[::-1]
    )
    arguments = ("a.png", {"Subject": "4T6"})

    assert asset_file_path(tmp_path, "4-A", IMAGES, *arguments) == asset_file_path(
        tmp_path, "4-A", backwards, *arguments
    )


def test_a_table_of_the_bindings_serves_as_well_as_ours(tmp_path: Path):
    bound = Model(None, DOCUMENT).schemas["demo"].tables["Image"]
    arguments = ("a.png", {"Subject": "4T6"})

    assert asset_file_path(tmp_path, "4-A", IMAGES, *arguments) == asset_file_path(
        tmp_path, "4-A", bound, *arguments
    )


@pytest.mark.parametrize("metadata", [None, {}, {"Subject": None}])
def test_what_is_not_given_is_null(tmp_path: Path, metadata: dict[str, None] | None):
    path = asset_file_path(tmp_path, "4-A", IMAGES, "a.png", metadata)

    assert list(path.parts[-5:-1]) == [NULL_SENTINEL] * 4


def test_word_of_the_order_is_left_once_and_is_not_an_asset(tmp_path: Path):
    first = asset_file_path(tmp_path, "4-XY", MODEL.name_to_table(IMAGE), "a.png", None)
    told = tmp_path / "deriva-ml/execution/4-XY/asset/demo/Image/.columns.json"
    before = told.stat()

    asset_file_path(tmp_path, "4-XY", MODEL.name_to_table(IMAGE), "b.png", {"Subject": "4T6"})

    columns = sorted(MODEL.asset_metadata(IMAGE))
    assert read_columns(told.read_text()) == tuple(columns)
    assert told.stat().st_mtime_ns == before.st_mtime_ns
    assert normalize_asset_dir(told) is None
    assert {path for path in told.parent.iterdir() if path.is_file()} == {told}
    assert not first.exists()


def test_no_word_of_the_order_is_left_where_there_is_none(tmp_path: Path):
    path = asset_file_path(tmp_path, "4-XY", MODEL.name_to_table(BOX), "a.json", None)

    assert list(path.parent.iterdir()) == []


def test_unknown_metadata_is_refused_with_both_sets(tmp_path: Path):
    with pytest.raises(DerivaMLException) as refusal:
        asset_file_path(tmp_path, "4-A", IMAGES, "a.png", {"Subjekt": "4T6", "Subject": "4T6"})

    assert str(refusal.value) == (
        "metadata 'Subject', 'Subjekt' does not fit Image: its metadata columns are "
        "'Acquisition_Date', 'Acquisition_Time', 'Observation', 'Subject'"
    )


@pytest.mark.parametrize("column", ["RID", "Filename", "MD5", "URL", "Length", "Description"])
def test_columns_that_the_upload_fills_are_no_metadata(tmp_path: Path, column: str):
    with pytest.raises(DerivaMLException, match="does not fit"):
        asset_file_path(tmp_path, "4-A", IMAGES, "a.png", {column: "x"})


@pytest.mark.parametrize("value", ["x" * 256, "%" * 86, "\udc80", "\0"])
def test_a_value_that_cannot_be_a_directory_is_refused_by_its_column(tmp_path: Path, value: str):
    with pytest.raises(DerivaMLException, match=r"metadata Subject: .*give it in asset-manifest"):
        asset_file_path(tmp_path, "4-A", IMAGES, "a.png", {"Subject": value})


@pytest.mark.parametrize("name", ["", ".", "..", "a/b.png", "/etc/passwd", "a\0b"])
def test_a_name_that_is_no_single_file_is_refused(tmp_path: Path, name: str):
    with pytest.raises(DerivaMLException, match="cannot be the name of"):
        asset_file_path(tmp_path, "4-A", IMAGES, name, {"Subject": "4T6"})


@pytest.mark.parametrize("rid", ["", "..", "../../etc", "/etc"])
def test_no_execution_leads_out_of_the_prefix(tmp_path: Path, rid: str):
    with pytest.raises(DerivaMLException, match="cannot be the name of"):
        staging.execution_root(tmp_path, rid)


@pytest.mark.parametrize(
    ("rid", "name", "metadata"),
    [
        ("..", "a.png", {}),
        ("4-A", "..", {}),
        ("4-A", "a", {"No": 1}),
        ("4-A", "a", {"Subject": "\0"}),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    tmp_path: Path, rid: str, name: str, metadata: dict[str, object]
):
    with pytest.raises(DerivaMLException):
        asset_file_path(tmp_path, rid, IMAGES, name, metadata)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("date", date(2026, 3, 4), "2026-03-04"),
        ("timestamptz", datetime(2026, 3, 4, 5, 6, tzinfo=UTC), "2026-03-04 05:06:00+00:00"),
        ("int4", -3, -3),
        ("float8", 0.25, 0.25),
        ("float8", Decimal("0.25"), 0.25),
        ("boolean", True, True),
        ("jsonb", {"a": [1, "é/%"]}, {"a": [1, "é/%"]}),
        ("jsonb", [None], [None]),
        ("text", Path("/a/b"), "/a/b"),
    ],
)
def test_a_value_of_any_type_arrives_in_the_row(
    tmp_path: Path, type_name: str, value: object, expected: object
):
    table = asset_table(Column=type_name)
    model = model_of(table)

    path = asset_file_path(tmp_path, "4-A", table, "a.bin", {"Column": value})
    match = Spec(bulk_upload_configuration(model)).match(str(path))

    assert match is not None
    said = {"Column": value_from(match.groups["Column"])}
    assert checked_values(model, table, said) == {"Column": expected}


_TABLES = [
    asset_table("Bare"),
    asset_table("Thing", A="text", b="text", C="text"),
    asset_table("Odd", **dict.fromkeys(["file", "RIDs", "a b", "x-y", "md5"], "text")),
    asset_table("Wide", **dict.fromkeys("abcdefgh", "text")),  # room for a tree within a tree
]
_MODEL = model_of(*_TABLES)
_SPEC = Spec(bulk_upload_configuration(_MODEL))
_EACH = [Spec({"asset_mappings": [one]}) for one in _SPEC.document["asset_mappings"]]
_TREE = ["deriva-ml", "execution", "4-A", "asset", "lab", "Bare", "table"]
_TEXTS = st.text() | st.sampled_from(
    ["", ".", "..", NULL_SENTINEL, "%00", "%5F_NULL__", "a/b", "\n", "100%", "é", *_TREE]
)
_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
    lambda name: name not in {".", ".."}
)


@patient
@given(table=st.sampled_from(_TABLES), name=_NAMES | st.sampled_from(NAMES), draw=st.data())
def test_every_value_makes_the_way_through_the_path_to_the_row(
    table: Table, name: str, draw: st.DataObject
):
    """Whatever the values and the file's name, exactly the mapping of the table takes the path.

    A value that is refused is refused at once, never changed on the way.
    """
    columns = sorted(_MODEL.asset_metadata(table))
    metadata = draw.draw(
        st.fixed_dictionaries({}, optional=dict.fromkeys(columns, st.none() | _TEXTS))
    )

    with TemporaryDirectory() as prefix:
        try:
            path = asset_file_path(prefix, "4-A", table, name, metadata)
        except DerivaMLException:
            assert any(value and _is_impossible(value) for value in metadata.values())
            return
        assert path.parent.is_dir()

    takers = [each for each in _EACH if each.match(str(path))]
    match = _SPEC.match(str(path))
    assert match is not None
    assert len(takers) == 1
    assert match.table == table.full_name
    said = {c: value_from(match.groups[g]) for c, g in match.mapping.groups.items()}
    assert checked_values(_MODEL, table, said) == dict.fromkeys(columns) | metadata
    assert path.name == name


def _is_impossible(value: str) -> bool:
    return len(value) > 80 or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/d/deriva-ml/execution/4-A/asset/demo/Image/a.png", ("demo/Image", "a.png")),
        (
            "/d/deriva-ml/execution/4-A/asset/demo/Image/1/2/a b.tar.gz",
            ("demo/Image", "a b.tar.gz"),
        ),
        (Path("/d/deriva-ml/execution/4-A/asset/s/t/x"), ("s/t", "x")),
        ("deriva-ml/execution/4-A/asset/s/t/x", ("s/t", "x")),
        ("/deriva-ml/execution/9/deriva-ml/execution/4-A/asset/s/t/x", ("s/t", "x")),
        ("/d/deriva-ml/execution/4-A/assets/Image/a.png", None),
        ("/d/deriva-ml/execution/4-A/asset/demo/Image", None),
        ("/d/deriva-ml/execution/4-A/asset/demo", None),
        ("/d/deriva-ml/table/demo/Image/Image.csv", None),
        ("/d/asset/demo/Image/a.png", None),
        ("", None),
    ],
)
def test_an_asset_path_is_read_as_table_and_file_name(
    path: str | Path, expected: tuple[str, str] | None
):
    assert normalize_asset_dir(path) == expected
