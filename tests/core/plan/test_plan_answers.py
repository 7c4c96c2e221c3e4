"""Nothing is forgotten: every file of an execution directory has exactly one answer."""

from hypothesis import given
from hypothesis import strategies as st

from core.given import (
    BOX,
    DESCRIBED,
    IMAGE,
    MODEL,
    RULES,
    TREE,
    entry,
    observed,
    patient,
)
from deriva_watch.core.completeness.observation import Entry, Kind
from deriva_watch.core.layout import Shape, place
from deriva_watch.core.metadata.sources import Manifest, Sources, Statement
from deriva_watch.core.plan.plan import make_plan
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration

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
    answers = [path for one in (*plan.work, *there) for path in (one.path, *one.also)]
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
