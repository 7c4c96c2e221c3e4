"""What shall be done with every file of an execution directory."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import (
    ASSET,
    BOX,
    IMAGE,
    MODEL,
    ROOT,
    RULES,
    asset_table,
    entry,
    model_of,
    observed,
    patient,
    planned,
)
from deriva_watch.core.layout import Shape, place
from deriva_watch.core.model import TableName
from deriva_watch.core.observation import Entry, Kind
from deriva_watch.core.plan import AssetPlan, Leftover, Plan, Rules, Sources, make_plan
from deriva_watch.core.sources import Manifest, Statement, read_manifest
from deriva_watch.core.spec import Spec, bulk_upload_configuration
from deriva_watch.core.states import FileTrigger

TREE = "asset/demo/Image/2026-03-04/__NULL__/__NULL__/4T6"  # directories of the path of an image
VALUES = {
    "Acquisition_Date": "2026-03-04",
    "Acquisition_Time": None,
    "Observation": None,
    "Subject": "4T6",
}
DESCRIBED = {"Subject": "4T6", "Acquisition_Date": "2026-03-04"}


def manifest(key: str = "Image/a.png", *, source: str = "the manifest", **facts: Any) -> Sources:
    """Return a manifest with one entry; its table is the first part of *key* unless given."""
    table = facts.pop("table", key.partition("/")[0])
    return Sources(Manifest({key: Statement(source, table, **facts)}, {}))


def workspace(key: str = "Image/a.png", **facts: Any) -> Sources:
    statement = Statement("deriva-ml's workspace", key.partition("/")[0], **facts)
    return Sources(workspace={key: statement})


def only_asset(plan: Plan) -> AssetPlan:
    assert plan.leftovers == ()
    (asset,) = plan.assets
    return asset


def only_leftover(plan: Plan) -> Leftover:
    assert plan.assets == ()
    (left,) = plan.leftovers
    assert left.what
    assert left.why
    assert left.next
    return left


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
    rules = Rules(MODEL, RULES.spec, None)

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
            "'yesterday' is no date for column Acquisition_Date",
        ),
        (
            "asset/demo/Image/__NULL__/__NULL__/%FF/4T6/a.png",
            Sources(),
            "is no text for column Observation",
        ),
        (
            "asset/demo/Image/2026-03-04/4T6/a.png",
            Sources(),
            "<Acquisition_Date>/<Acquisition_Time>/<Observation>/<Subject>, the path has 2",
        ),
        (
            "asset/demo/BoundingBox/what/a.json",
            Sources(),
            "wants the metadata directories none, the path has 1",
        ),
        ("asset/demo/Subject/a.csv", Sources(), "demo:Subject is no asset table"),
        ("assets/Subject/a.csv", Sources(), "demo:Subject is no asset table"),
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
            "'Picture', 'Foto' is no asset type of this catalog",
        ),
        ("execution-asset/Nonsense/a.pt", Sources(), "'Nonsense' is no asset type"),
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

    assert (left.path, left.trigger) == (path, FileTrigger.REJECTED)
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
    assert all("no valid JSON" in left.why for left in plan.leftovers)


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
    assert left.why == "no mapping of the bulk spec takes it"
    assert ROOT in left.next


def test_rows_of_a_table_are_left_over_with_the_table():
    left = only_leftover(planned("table/demo/Subject/Subject.csv"))

    assert left.trigger is FileTrigger.UNMATCHED
    assert "rows of demo:Subject" in left.why


def test_an_ignored_file_is_ignored_wherever_it_lies():
    left = only_leftover(planned(entry(f"{TREE}/a.png.part", kind=Kind.IGNORED)))

    assert left.trigger is FileTrigger.IGNORED


def test_what_is_no_regular_file_is_refused_with_its_problem():
    left = only_leftover(
        planned(entry(f"{TREE}/a.png", kind=Kind.UNUSABLE, problem="it is a named pipe"))
    )

    assert (left.trigger, left.why) == (FileTrigger.REJECTED, "it is a named pipe")


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
    said = Sources(notices={"asset-type/demo/Image.jsonl": "line 2 is no valid JSON"})

    assert planned(said=said).notices == said.notices


def test_a_directory_that_cannot_be_listed_is_refused_by_its_name():
    """Also where a manifest takes it for a file: it is named once."""
    seen = observed(**{"assets/Image/a.png": "permission denied"})

    left = only_leftover(make_plan(seen, manifest(metadata=DESCRIBED), RULES))

    assert (left.path, left.entry, left.why) == ("assets/Image/a.png", None, "permission denied")
    assert left.trigger is FileTrigger.REJECTED


# ---------------------------------------------------------------- specs of other people


THING = asset_table(Colour="text", Size="int4")


def by_mapping(**changes: Any) -> Rules:
    """Return rules with a mapping of `lab:Thing` that differs from ours by *changes*."""
    mapping = {
        "target_table": ["lab", "Thing"],
        "file_pattern": r".*/asset/lab/Thing/(?P<Colour>[^/]+)/",
        "column_map": {"URL": "{URI}", "MD5": "{md5}", "Colour": "{Colour}"},
    }
    model = model_of(THING, *MODEL.tables.values())
    return Rules(model, Spec({"asset_mappings": [mapping | changes]}), None)


def test_a_mapping_of_other_people_is_followed():
    asset = only_asset(planned("asset/lab/Thing/red/a.bin", rules=by_mapping()))

    assert (asset.table, asset.values) == (THING.full_name, {"Colour": "red", "Size": None})


@pytest.mark.parametrize("path", ["free/a.bin", "assets/Thing/a.bin"])
def test_a_mapping_of_other_people_takes_files_from_anywhere(path: str):
    """The manifest describes a flat file, whichever mapping takes it."""
    rules = by_mapping(file_pattern="[.]bin$")
    broken = Sources(read_manifest("{"))

    assert only_asset(planned(path, rules=rules)).table == THING.full_name
    refused = planned(path, rules=rules, said=broken).assets == ()
    assert refused is path.startswith("assets/")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"target_table": ["demo", "Subject"]}, "demo:Subject is no asset table"),
        ({"target_table": ["demo", "Nowhere"]}, "no table to call 'demo:Nowhere'"),
        (
            {"column_map": {"Colour": "{Colour}", "Taste": "sweet"}},
            "mapping 0 of the bulk spec fills 'Taste' of lab:Thing, which has no such column",
        ),
    ],
)
def test_a_mapping_that_makes_no_row_of_its_table_refuses_its_files(
    changes: dict[str, Any], why: str
):
    left = only_leftover(planned("asset/lab/Thing/red/a.bin", rules=by_mapping(**changes)))

    assert why in left.why


def test_a_value_that_the_spec_has_no_place_for_is_not_dropped_in_silence():
    said = manifest("Thing/a.bin", metadata={"Size": 5})
    rules = by_mapping(file_pattern=r".*/asset/lab/Thing/")

    left = only_leftover(planned("assets/Thing/a.bin", said=said, rules=rules))

    assert left.why == "the bulk spec has no place for 'Size' of lab:Thing"


@pytest.mark.parametrize("pattern", ["/nothing/like/that/", "/asset/lab/Thing/"])
def test_a_flat_file_without_a_mapping_for_its_table_is_refused(pattern: str):
    """Also where another table's mapping would take its place in the asset tree."""
    target = ["demo", "BoundingBox"]
    rules = by_mapping(file_pattern=pattern, target_table=target, column_map={"URL": "{URI}"})

    left = only_leftover(planned("assets/Thing/a.bin", rules=rules))

    assert left.why == "no mapping of the bulk spec takes files of lab:Thing"


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


# ---------------------------------------------------------------- nothing is forgotten


_FOLDERS = [
    *("asset/demo/Image/2026-03-04/__NULL__/__NULL__/4T6", f"{TREE}/4-XY", f"{TREE}/4-XY/x"),
    *("asset/demo/BoundingBox", "asset/demo/BoundingBox/4-XY", "asset/demo/Subject", "asset/a/b"),
    *("assets/Image", "assets/BoundingBox", "assets/File", "assets/Nope", "assets"),
    *("upload-staging/asset/demo/BoundingBox", "execution-asset/Image", "execution-metadata/Nope"),
    *("asset-type/demo", "table/demo/Subject", "feature/x", ""),
]
_FILES = ["a.png", "b", "\udcff", "Subject.csv", "Image.jsonl", "asset-manifest.json", ".complete"]
_ENTRIES = st.builds(
    lambda folder, name, inode, kind, link: entry(
        f"{folder}/{name}".removeprefix("/"),
        inode,
        kind=kind,
        link=link,
        problem="it is a named pipe" if kind is Kind.UNUSABLE else None,
    ),
    folder=st.sampled_from(_FOLDERS),
    name=st.sampled_from(_FILES),
    inode=st.integers(1, 3),
    kind=st.sampled_from([Kind.CONTENT] * 4 + [Kind.IGNORED, Kind.UNUSABLE]),
    link=st.booleans(),
)
_KEYS = st.builds(
    "/".join, st.tuples(st.sampled_from(["Image", "Nope", "x"]), st.sampled_from(_FILES[:2]))
)
_STATEMENTS = st.builds(
    Statement,
    source=st.sampled_from(["the manifest", "deriva-ml's workspace"]),
    table=st.sampled_from(["Image", "BoundingBox", "File", "Nope"]),
    schema=st.sampled_from([None, "demo"]),
    metadata=st.sampled_from([{}, DESCRIBED, {"Subject": "4T8"}, {"Nope": 1}]),
    types=st.sampled_from([None, (), ("Image",), ("Nope",)]),
    rid=st.sampled_from([None, "4-XY", "4-ZZ"]),
    recorded=st.booleans(),
)
_SAID = st.builds(
    Sources,
    manifest=st.none()
    | st.builds(
        Manifest,
        st.dictionaries(_KEYS, _STATEMENTS),
        st.sampled_from([{}, {"": "broken"}, {"Image/a.png": "broken"}]),
    ),
    workspace=st.dictionaries(_KEYS, _STATEMENTS, max_size=2),
    types=st.sampled_from([{}, {IMAGE: {"a.png": ("Image",)}}, {BOX: {"b": ("Nope",)}}]),
)


@patient
@given(entries=st.lists(_ENTRIES, max_size=12, unique_by=lambda one: one.path), said=_SAID)
def test_every_file_has_exactly_one_answer(entries: list[Entry], said: Sources):
    """Whatever lies there and is said of it, and in whatever order it was seen.

    The paths of assets and of what is left over, and the control files, are all entries, none
    twice; what is missing is none.
    """
    seen = observed(*entries)

    plan = make_plan(seen, said, RULES)

    controls = [one.path for one in entries if _is_control(one)]
    there = [left for left in plan.leftovers if left.entry is not None]
    answers = [path for one in (*plan.assets, *there) for path in (one.path, *one.also)]
    assert sorted(answers + controls) == sorted(seen.entries)
    missing = [left.path for left in plan.leftovers if left.entry is None]
    assert set(missing).isdisjoint(seen.entries)
    assert len(missing) == len(set(missing))
    assert all(left.what and left.why and left.next for left in plan.leftovers)
    assert make_plan(observed(*entries[::-1]), said, RULES) == plan


def _is_control(one: Entry) -> bool:
    where = place(one.path, RULES.markers)
    shapes = {Shape.MANIFEST, Shape.OLD_MANIFEST, Shape.ASSET_TYPES, Shape.MARKER}
    return one.kind is Kind.CONTENT and where is not None and where.shape in shapes


def test_a_spec_for_every_table_of_the_model_takes_what_the_rules_take():
    """The rules of these tests are those of a real catalog, not an invention."""
    assert RULES.spec.document == bulk_upload_configuration(MODEL)


def test_a_folder_that_cannot_be_listed_is_refused_by_name():
    seen = observed(entry("assets/BoundingBox/a.json"), **{"assets/Image": "permission denied"})

    plan = make_plan(seen, Sources(), RULES)

    assert [left.path for left in plan.leftovers] == ["assets/Image"]
    assert plan.leftovers[0].why == "permission denied"
    assert len(plan.assets) == 1
