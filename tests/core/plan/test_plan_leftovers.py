"""What is not uploaded, and the sentence that says why."""

from dataclasses import replace

import pytest

from core.given import (
    ASSET,
    DESCRIBED,
    IMAGE,
    ROOT,
    RULES,
    TREE,
    VALUES,
    entry,
    manifest,
    observed,
    only_asset,
    only_leftover,
    planned,
    workspace,
)
from deriva_watch.core.completeness.observation import Entry, Kind
from deriva_watch.core.metadata.sources import Sources, read_manifest
from deriva_watch.core.plan.plan import Plan, make_plan
from deriva_watch.core.rows.table_files import LIST_BYTES, LIST_TOO_LARGE
from deriva_watch.core.states import FileTrigger

# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("path", "said", "why"),
    [
        (
            "assets/Image/a.png",
            manifest(metadata={"Subject": "4T6", "Colour": "red"}),
            "demo:Image has no metadata column 'Colour'",
        ),
        ("assets/Image/a.png", Sources(), "column Subject must have a value"),
        ("assets/Image/a.png", manifest(metadata={}), "column Subject must have a value"),
        (
            "asset/demo/Image/__NULL__/__NULL__/__NULL__/__NULL__/a.png",
            Sources(),
            "column Subject must have a value",
        ),
        (
            "asset/demo/Image/yesterday/__NULL__/__NULL__/4T6/a.png",
            Sources(),
            "'yesterday' is not a valid date for column Acquisition_Date",
        ),
        (
            "asset/demo/Image/__NULL__/__NULL__/%FF/4T6/a.png",
            Sources(),
            "is not a valid text for column Observation",
        ),
        (
            "asset/demo/Image/2026-03-04/4T6/a.png",
            Sources(),
            "<Acquisition_Date>/<Acquisition_Time>/<Observation>/<Subject>, the path has 2",
        ),
        (
            "asset/demo/BoundingBox/what/a.json",
            Sources(),
            "needs the metadata directories none, the path has 1",
        ),
        ("asset/demo/Subject/a.csv", Sources(), "demo:Subject is not an asset table"),
        ("assets/Subject/a.csv", Sources(), "demo:Subject is not an asset table"),
        ("asset/demo/Nowhere/a.csv", Sources(), "no table to call 'demo:Nowhere'"),
        ("assets/Nowhere/a.csv", Sources(), "no table to call 'Nowhere'"),
        ("assets/File/a.csv", Sources(), "several schemas have one: deriva-ml:File, WWW:File"),
        (
            "assets/Image/a.png",
            manifest(metadata=DESCRIBED, schema="lab"),
            "no table to call 'lab:Image'",
        ),
        (
            "assets/Image/a.png",
            manifest(metadata=DESCRIBED, types=("Image", "Picture", "Foto")),
            "'Picture', 'Foto' is not an asset type of this catalog",
        ),
        ("execution-asset/Nonsense/a.pt", Sources(), "'Nonsense' is not an asset type"),
        (
            f"{TREE}/4-XY/a.png",
            manifest(metadata=DESCRIBED, rid="4-ZZ"),
            f"the manifest says its RID is '4-ZZ', but the path {TREE}/4-XY/a.png says '4-XY'",
        ),
        (
            f"{TREE}/a.png",
            manifest(metadata={"Subject": "4T8"}),
            f"the manifest says Subject = '4T8', but the path {TREE}/a.png says '4T6'",
        ),
        ("assets/BoundingBox/\udcff.json", Sources(), "not UTF-8"),
    ],
)
def test_what_cannot_be_uploaded_is_refused_with_the_reason(path: str, said: Sources, why: str):
    left = only_leftover(planned(path, said=said))

    assert (left.path, left.trigger) == (path, FileTrigger.REFUSED)
    assert left.entry == entry(path)
    assert why in left.why


@pytest.mark.parametrize(
    ("path", "then"),
    [
        (
            "assets/Image/a.png",
            "Write the metadata of the file into asset-manifest.json.",
        ),
        (
            "asset/demo/Image/__NULL__/__NULL__/__NULL__/__NULL__/a.png",
            f"Its directories are read as {'/'.join(VALUES)}; `asset_file_path` builds them.",
        ),
    ],
)
def test_a_person_is_told_where_the_missing_value_belongs(path: str, then: str):
    assert only_leftover(planned(path)).next == then


def test_a_contradiction_between_manifest_and_workspace_is_refused_with_both():
    said = Sources(
        manifest(metadata=DESCRIBED).manifest,
        workspace(metadata=DESCRIBED | {"Subject": "4T8"}).workspace,
    )

    left = only_leftover(planned("assets/Image/a.png", said=said))

    assert left.why == ("deriva-ml's workspace says Subject = '4T8', but the manifest says '4T6'")


def test_a_refused_asset_is_one_answer_for_all_of_its_paths():
    flat = entry("assets/Image/a.png", 5)
    link = entry("asset/demo/Image/__NULL__/__NULL__/__NULL__/4T8/4-XY/a.png", 5, link=True)

    left = only_leftover(planned(flat, link, said=workspace(metadata=DESCRIBED)))

    assert (left.path, left.also) == (flat.path, (link.path,))
    assert "4T8" in left.why


def test_a_bad_file_does_not_stop_its_neighbours():
    plan = planned("assets/Image/bad.png", "assets/BoundingBox/good.json", f"{TREE}/good.png")

    assert [asset.file_name for asset in plan.assets] == ["good.png", "good.json"]
    assert [left.path for left in plan.leftovers] == ["assets/Image/bad.png"]


def test_a_broken_manifest_refuses_the_flat_files_and_no_others():
    said = Sources(read_manifest('{"assets": {'))
    tree = (f"{TREE}/good.png", "execution-asset/Image/good.pt")

    plan = planned("assets/BoundingBox/a.json", "assets/Image/b.png", *tree, said=said)

    assert {asset.path for asset in plan.assets} == set(tree)
    assert {left.path for left in plan.leftovers} == {
        "assets/BoundingBox/a.json",
        "assets/Image/b.png",
    }
    assert all("not valid JSON" in left.why for left in plan.leftovers)


def test_a_broken_entry_refuses_its_own_file():
    said = Sources(read_manifest('{"assets": {"BoundingBox/a.json": 5, "BoundingBox/b.json": {}}}'))

    plan = planned("assets/BoundingBox/a.json", "assets/BoundingBox/b.json", said=said)

    assert [asset.file_name for asset in plan.assets] == ["b.json"]
    assert [left.path for left in plan.leftovers] == ["assets/BoundingBox/a.json"]
    assert "'BoundingBox/a.json' cannot be used" in plan.leftovers[0].why


def test_the_workspace_speaks_where_the_manifest_is_broken():
    said = Sources(read_manifest("{"), workspace(metadata=DESCRIBED).workspace)

    assert only_asset(planned("assets/Image/a.png", said=said)).values == VALUES


@pytest.mark.parametrize("said", [manifest("Image/ghost.png"), workspace("Image/ghost.png")])
def test_a_file_that_was_registered_but_is_not_there_is_named(said: Sources):
    left = only_leftover(planned(said=said))

    assert (left.path, left.entry) == ("assets/Image/ghost.png", None)
    assert "names it, but there is no such file" in left.why


def test_a_file_that_is_gone_because_it_is_recorded_is_not_missed():
    said = workspace("Image/gone.png", rid="4-XY", recorded=True)

    assert planned(said=said) == Plan((), (), {})


@pytest.mark.parametrize(
    "there",
    [
        entry("assets/Image/ghost.png", kind=Kind.IGNORED),
        entry("assets/Image/ghost.png", kind=Kind.UNUSABLE, problem="it is a named pipe"),
        entry(f"{TREE}/ghost.png"),
    ],
)
def test_a_file_that_is_there_is_not_missed_whatever_it_is(there: Entry):
    plan = planned(there, said=manifest("Image/ghost.png"))

    assert [left.path for left in plan.leftovers if left.entry is None] == []


@pytest.mark.parametrize(("suffix", "work"), [("json", 0), ("csv", 1)])
def test_a_json_list_that_is_too_large_is_refused_before_it_is_read(suffix: str, work: int):
    large = replace(entry(f"table/demo/Subject/Subject.{suffix}"), size_bytes=LIST_BYTES + 1)

    plan = planned(large)

    assert len(plan.work) == work
    assert [left.why for left in plan.leftovers] == [LIST_TOO_LARGE] * (1 - work)


# ---------------------------------------------------------------- what is left over


@pytest.mark.parametrize(
    "path",
    [
        *("notes.txt", "assets/loose.png", "assets/Image/deep/a.png", "feature/demo/Image/x.jsonl"),
        *("execution-asset/loose.pt", "asset/demo/Image", "asset-type/demo/Image.txt"),
        *("upload-staging/notes.txt", ".complete.bak"),
    ],
)
def test_what_no_mapping_takes_is_unmatched_and_says_so(path: str):
    left = only_leftover(planned(path))

    assert (left.path, left.trigger, left.entry) == (path, FileTrigger.UNMATCHED, entry(path))
    assert left.why == "no mapping of the bulk spec matches it"
    assert ROOT in left.next


def test_an_ignored_file_is_ignored_wherever_it_lies():
    left = only_leftover(planned(entry(f"{TREE}/a.png.part", kind=Kind.IGNORED)))

    assert left.trigger is FileTrigger.IGNORED


def test_what_is_no_regular_file_is_refused_with_its_problem():
    left = only_leftover(
        planned(entry(f"{TREE}/a.png", kind=Kind.UNUSABLE, problem="it is a named pipe"))
    )

    assert (left.trigger, left.why) == (FileTrigger.REFUSED, "it is a named pipe")


@pytest.mark.parametrize(
    "path",
    [
        "asset-manifest.json",
        "asset-manifest.migrated.json",
        "asset-type/demo/Image.jsonl",
        ".complete",
    ],
)
def test_files_that_speak_about_files_are_none_themselves(path: str):
    assert planned(path) == Plan((), (), {})


def test_a_control_file_that_cannot_be_read_is_refused():
    pipe = entry("asset-manifest.json", kind=Kind.UNUSABLE, problem="it is a named pipe")

    assert only_leftover(planned(pipe)).why == "it is a named pipe"


def test_notices_about_sources_are_passed_on():
    said = Sources(notices={"asset-type/demo/Image.jsonl": "line 2 is not valid JSON"})

    assert planned(said=said).notices == said.notices


def test_a_directory_that_cannot_be_listed_is_refused_by_its_name():
    """Also where a manifest takes it for a file: it is named once."""
    seen = observed(**{"assets/Image/a.png": "permission denied"})

    left = only_leftover(make_plan(seen, manifest(metadata=DESCRIBED), RULES))

    assert (left.path, left.entry, left.why) == ("assets/Image/a.png", None, "permission denied")
    assert left.trigger is FileTrigger.REFUSED


def test_a_file_with_two_entries_in_the_manifest_is_refused_by_name_wherever_it_is():
    said = Sources(manifest=read_manifest('{"assets": {"Image/x.png": {}, "Image/x.png": {}}}'))

    for path in ("assets/Image/x.png", f"{TREE}/x.png"):
        left = only_leftover(planned(path, said=said))

        assert left.path == path
        assert "the manifest's entry 'Image/x.png' cannot be used: it occurs twice" in left.why
        assert "once" in left.next


def test_types_of_a_file_that_is_not_here_are_told():
    said = Sources(types={ASSET: {"real.pt": ("Model_File",), "reel.pt": ("Model_File",)}})

    plan = planned("asset/deriva-ml/Execution_Asset/real.pt", said=said)

    assert only_asset(plan).types == ("Model_File",)
    assert plan.notices == {
        "asset-type/deriva-ml/Execution_Asset.jsonl": "no file gets the types that it gives to "
        "'reel.pt'; correct the names, or write the files"
    }


def test_types_of_a_file_that_is_refused_for_something_else_are_no_stray():
    said = Sources(types={ASSET: {"a.pt": ("Nonsense",)}, IMAGE: {"b.png": ("Image",)}})

    plan = planned("asset/deriva-ml/Execution_Asset/a.pt", "asset/demo/Image/b.png", said=said)

    assert plan.notices == {}


def test_of_many_types_without_a_file_some_are_named():
    said = Sources(types={ASSET: {f"{n:03}.pt": ("Model_File",) for n in range(1000)}})

    (notice,) = planned(said=said).notices.values()

    assert "'000.pt', '001.pt'" in notice
    assert "…" in notice
    assert len(notice) < 300
