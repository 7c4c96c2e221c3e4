"""Where a file lies below its execution directory, and what that makes of it."""

import pytest

from deriva_watch.core.layout import Place, Shape, metadata_segments, place


@pytest.mark.parametrize(
    ("path", "shape", "part"),
    [
        (
            "asset/demo/Image/2026-03-04/__NULL__/a.png",
            Shape.ASSET_TREE,
            {
                "schema": "demo",
                "table": "Image",
                "rest": "2026-03-04/__NULL__/",
                "file": "a.png",
            },
        ),
        (
            "asset/deriva-ml/Execution_Asset/model.v2.pt",
            Shape.ASSET_TREE,
            {"schema": "deriva-ml", "table": "Execution_Asset", "rest": "", "file": "model.v2.pt"},
        ),
        (
            "upload-staging/asset/s/t/4-AB/a",
            Shape.ASSET_TREE,
            {"schema": "s", "table": "t", "rest": "4-AB/", "file": "a"},
        ),
        (
            "upload-staging/deriva-ml/execution/4-AB2C/asset/s/t/a",
            Shape.ASSET_TREE,
            {"schema": "s", "table": "t", "rest": "", "file": "a"},
        ),
        ("assets/Image/a.png", Shape.FLAT, {"table": "Image", "file": "a.png"}),
        (
            "execution-asset/Model_File/m.pt",
            Shape.TYPED,
            {"kind": "asset", "type": "Model_File", "file": "m.pt"},
        ),
        (
            "execution-metadata/Runtime_Env/env.txt",
            Shape.TYPED,
            {"kind": "metadata", "type": "Runtime_Env", "file": "env.txt"},
        ),
        (
            "asset-type/demo/Image.jsonl",
            Shape.ASSET_TYPES,
            {"schema": "demo", "table": "Image"},
        ),
        ("asset-manifest.json", Shape.MANIFEST, {}),
        ("asset-manifest.migrated.json", Shape.OLD_MANIFEST, {}),
        ("asset-manifest.1.migrated.json", Shape.OLD_MANIFEST, {}),
        (".complete", Shape.MARKER, {}),
    ],
)
def test_every_known_shape_is_read_from_its_path(path: str, shape: Shape, part: dict[str, str]):
    assert place(path, frozenset({".complete"})) == Place(shape, part)


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",
        "asset",
        "asset/demo/Image",
        "assets/a.png",
        "assets/Image/deeper/a.png",
        "execution-asset/m.pt",
        "execution-asset/Model_File/deeper/m.pt",
        "asset-type/demo/Image.json",
        "asset-type/demo/deeper/Image.jsonl",
        "sub/asset-manifest.json",
        "sub/.complete",
        "asset-manifest.json.bak",
        "asset-manifest.d/data.migrated.json",
        "my-asset/demo/Image/a.png",
        "sub/asset/demo/Image/a.png",
        "upload-staging/a.png",
        "ASSET/demo/Image/a.png",
        "",
    ],
)
def test_what_has_no_known_shape_has_no_place(path: str):
    assert place(path, frozenset({".complete"})) is None


@pytest.mark.parametrize(
    "name",
    [
        *("model.v2.pt", "data.tar.gz", "IMG 001.JPG", "noextension", ".hidden", "trailingdot."),
        *("...", "übergröße_日本.txt", "line\nbreak.txt", "\udcff.bin", "percent%41", "a&+(1).txt"),
        "x" * 255,
    ],
)
@pytest.mark.parametrize("folder", ["asset/demo/Image/x/", "assets/Image/", "execution-asset/T/"])
def test_any_name_that_a_file_can_have_is_kept_as_it_is(folder: str, name: str):
    found = place(folder + name)

    assert found is not None
    assert found.part["file"] == name


@pytest.mark.parametrize(
    ("rest", "segments"),
    [("", []), ("a/", ["a"]), ("a b/__NULL__/c.d/", ["a b", "__NULL__", "c.d"])],
)
def test_the_directories_between_table_and_file_are_metadata(rest: str, segments: list[str]):
    assert metadata_segments(rest) == segments


def test_a_marker_is_no_marker_unless_the_settings_name_it():
    assert place("CopyComplete.txt") is None
    assert place("assets/Image/done", frozenset({"done"})) == Place(
        Shape.FLAT, {"table": "Image", "file": "done"}
    )
