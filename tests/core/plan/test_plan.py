"""What shall be done with every file of an execution directory."""

from typing import Any

import pytest

from core.given import (
    ASSET,
    BOX,
    DESCRIBED,
    IMAGE,
    MODEL,
    RID,
    RULES,
    TREE,
    VALUES,
    entry,
    manifest,
    only_asset,
    planned,
    workspace,
)
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.model import TableName
from deriva_watch.core.plan.rules import Rules

# ---------------------------------------------------------------- every layout makes assets


@pytest.mark.parametrize(
    "folder", ["", "upload-staging/", "upload-staging/deriva-ml/execution/4-X/"]
)
@pytest.mark.parametrize("rid", [None, "4-XY"])
def test_a_file_of_the_asset_tree_is_described_by_its_path(folder: str, rid: str | None):
    path = f"{folder}{TREE}/{f'{rid}/' if rid else ''}a.png"

    asset = only_asset(planned(path))

    assert (asset.path, asset.table, asset.file_name) == (path, IMAGE, "a.png")
    assert asset.values == VALUES
    assert asset.given_rid == rid
    assert asset.also == ()
    assert not asset.recorded


def test_what_stands_encoded_in_a_path_is_decoded_in_the_row():
    path = "asset/demo/Image/__NULL__/2026-03-04T05:06:07%2B00:00/a%2Fb/4T6/a.png"

    values = only_asset(planned(path)).values

    assert values["Acquisition_Time"] == "2026-03-04T05:06:07+00:00"
    assert values["Observation"] == "a/b"


def test_a_flat_file_is_described_by_the_manifest():
    said = manifest(
        metadata=DESCRIBED, types=("Image",), description="A scan.", rid="4-XY", schema="demo"
    )

    asset = only_asset(planned("assets/Image/a.png", said=said))

    assert (asset.path, asset.table) == ("assets/Image/a.png", IMAGE)
    assert asset.values == VALUES
    assert (asset.types, asset.description, asset.given_rid) == (("Image",), "A scan.", "4-XY")
    assert asset.match.mapping is RULES.spec.mappings[asset.match.mapping.number]


def test_a_flat_file_is_described_by_the_workspace_as_well():
    asset = only_asset(planned("assets/Image/a.png", said=workspace(metadata=DESCRIBED)))

    assert asset.values == VALUES


@pytest.mark.parametrize("name", ["model.v2.pt", "IMG 001.JPG", "noextension", ".hidden", "a\nb"])
def test_a_flat_file_of_a_table_without_metadata_needs_no_manifest(name: str):
    asset = only_asset(planned(f"assets/BoundingBox/{name}"))

    assert (asset.table, asset.values, asset.file_name) == (BOX, {}, name)


@pytest.mark.parametrize("kind", ["asset", "metadata"])
def test_a_folder_of_a_type_gives_its_files_that_type(kind: str):
    asset = only_asset(planned(f"execution-{kind}/Model_File/model.pt"))

    assert asset.table == TableName("deriva-ml", f"Execution_{kind.title()}")
    assert asset.types == ("Model_File",)


def test_a_flat_file_may_belong_to_another_table_than_its_folder_says():
    """The manifest's word counts, and its entry is not missing afterwards."""
    said = manifest("Scans/a.png", table="Image", schema="demo", metadata=DESCRIBED)

    asset = only_asset(planned("assets/Scans/a.png", said=said))

    assert (asset.table, asset.values) == (IMAGE, VALUES)


def test_the_manifest_says_which_of_two_tables_of_one_name_is_meant():
    said = manifest("File/a.txt", schema="deriva-ml")

    assert only_asset(planned("assets/File/a.txt", said=said)).table == ("deriva-ml", "File")


def test_types_come_from_the_type_file_where_nobody_stronger_says_any():
    types = {ASSET: {"m.pt": ("Model_File", "Image", "Model_File")}}

    asset = only_asset(planned("assets/Execution_Asset/m.pt", said=Sources(types=types)))
    other = only_asset(planned("assets/Execution_Asset/other.pt", said=Sources(types=types)))
    typed = only_asset(planned("execution-asset/Image/m.pt", said=Sources(types=types)))

    assert asset.types == ("Model_File", "Image")
    assert other.types == ()
    assert typed.types == ("Model_File", "Image")


def test_the_types_of_the_workspace_are_stronger_than_those_of_the_type_file():
    said = Sources(
        workspace=workspace("Execution_Asset/m.pt", types=("Image",)).workspace,
        types={ASSET: {"m.pt": ("Model_File",)}},
    )

    assert only_asset(planned("assets/Execution_Asset/m.pt", said=said)).types == ("Image",)


def test_an_asset_that_another_uploader_recorded_says_so():
    said = workspace(metadata=DESCRIBED, rid="4-XY", recorded=True)

    assert only_asset(planned("assets/Image/a.png", said=said)).recorded


def test_without_terms_any_type_passes():
    rules = Rules(MODEL, RULES.spec, RID, None)

    assert only_asset(planned("execution-asset/Any/m.pt", rules=rules)).types == ("Any",)


# ---------------------------------------------------------------- one file, several paths


def test_a_flat_file_and_a_staged_link_to_it_are_one_asset():
    flat = entry("assets/Image/a.png", 5)
    link = entry(f"{TREE}/4-XY/a.png", 5, link=True)

    asset = only_asset(planned(link, flat, said=workspace(metadata=DESCRIBED, types=("Image",))))

    assert (asset.path, asset.also) == (flat.path, (link.path,))
    assert (asset.values, asset.given_rid, asset.types) == (VALUES, "4-XY", ("Image",))


def test_two_links_to_one_file_of_the_user_are_one_asset():
    """As deriva-ml links what is registered without a copy: both names lead out of the tree."""
    flat = entry("assets/Image/a.png", 5, link=True)
    link = entry(f"{TREE}/4-XY/a.png", 5, link=True)

    asset = only_asset(planned(flat, link, said=workspace(metadata=DESCRIBED)))

    assert (asset.path, asset.also) == (flat.path, (link.path,))


def test_a_file_goes_before_a_link_to_it():
    flat = entry("assets/BoundingBox/a.json", 5, link=True)
    tree = entry("asset/demo/BoundingBox/a.json", 5)

    asset = only_asset(planned(flat, tree))

    assert (asset.path, asset.also) == (tree.path, (flat.path,))


def test_a_staged_link_whose_flat_file_is_gone_is_described_by_the_manifest_as_well():
    said = manifest(metadata=DESCRIBED, description="A scan.")

    asset = only_asset(planned(entry(f"{TREE}/4-XY/a.png", 5, link=True), said=said))

    assert (asset.description, asset.given_rid) == ("A scan.", "4-XY")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("asset/demo/BoundingBox/a.json", "assets/BoundingBox/a.json"),  # other content
        ("assets/BoundingBox/a.json", "assets/BoundingBox/b.json"),
        ("assets/BoundingBox/a.json", "assets/Execution_Asset/a.json"),
    ],
)
def test_another_file_is_another_asset(one: str, other: str):
    plan = planned(entry(one, 1), entry(other, 2))

    assert {asset.path for asset in plan.assets} == {one, other}


def test_one_file_under_two_names_is_two_assets():
    plan = planned(entry("assets/BoundingBox/a", 1), entry("assets/BoundingBox/b", 1))

    assert len(plan.assets) == 2


def test_what_describes_the_flat_file_does_not_describe_another_of_that_name():
    flat = entry("assets/Image/a.png", 1)
    other = entry("asset/demo/Image/__NULL__/__NULL__/__NULL__/4T8/a.png", 2)

    plan = planned(flat, other, said=manifest(metadata=DESCRIBED))

    assert {asset.path: asset.values["Subject"] for asset in plan.assets} == {
        flat.path: "4T6",
        other.path: "4T8",
    }


# ---------------------------------------------------------------- digests


def test_a_statement_changes_with_everything_that_is_said():
    def digest(path: str = "assets/Image/a.png", **facts: Any) -> str:
        said = manifest(f"Image/{path.rpartition('/')[2]}", **{"metadata": DESCRIBED} | facts)
        return only_asset(planned(path, said=said)).statement()

    digests = [
        digest(),
        digest(metadata=DESCRIBED | {"Subject": "4T8"}),
        digest(types=("Image",)),
        digest(types=("Image", "Thumb Nail")),
        digest(description="A scan."),
        digest("assets/Image/b.png"),
    ]

    assert len(set(digests)) == len(digests)
    assert digest() == digest(metadata=dict(reversed(DESCRIBED.items())))
