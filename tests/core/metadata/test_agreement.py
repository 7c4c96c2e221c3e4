"""Several sources about one asset: one statement, or a refusal that names them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import BOX, IMAGE, MODEL, asset_table, patient
from deriva_watch.core.metadata.agreement import Contradiction, checked_values, merge
from deriva_watch.core.metadata.sources import Statement

IMAGES = MODEL.name_to_table(IMAGE)


def says(source: str, **facts: Any) -> Statement:
    return Statement(source, "Image", **facts)


def test_what_nobody_contradicts_is_put_together():
    one = merge(
        IMAGES,
        [
            says("the workspace", metadata={"Subject": "4T6"}, types=("Image",), recorded=True),
            says("the manifest", metadata={"Observation": "4TE"}, description="A scan."),
            says("the path", metadata={"Subject": "4T6"}, types=("Thumb Nail",), rid="4-XY"),
        ],
    )

    assert one == Statement(
        source="the workspace",
        schema="demo",
        table="Image",
        metadata={"Subject": "4T6", "Observation": "4TE"},
        types=("Image",),
        description="A scan.",
        rid="4-XY",
        recorded=True,
    )


def test_the_rid_of_a_row_in_the_catalog_outweighs_one_that_was_leased():
    leased = says("the path", rid="1-LEASED")
    recorded = says("the manifest", rid="1-OLD", recorded=True)

    assert merge(IMAGES, [leased, recorded]).rid == "1-OLD"
    with pytest.raises(Contradiction, match="1-OLD"):
        merge(IMAGES, [leased, recorded, says("the workspace", rid="1-NEW", recorded=True)])


@pytest.mark.parametrize(
    ("column", "one", "other"),
    [
        ("Acquisition_Time", "2026-03-04T05:06:07", "2026-03-04 05:06:07"),
        ("Subject", "4T6", "4T6"),
        ("Observation", None, None),
    ],
)
def test_two_ways_to_write_a_value_are_no_contradiction(column: str, one: object, other: object):
    merged = merge(
        IMAGES,
        [says("the manifest", metadata={column: one}), says("the path", metadata={column: other})],
    )

    assert merged.metadata == {column: one}


@pytest.mark.parametrize(
    ("facts", "others", "sentence"),
    [
        (
            {"metadata": {"Subject": "4T6"}},
            {"metadata": {"Subject": "4T8"}},
            "the manifest says Subject = '4T6', but the path says '4T8'",
        ),
        (
            {"metadata": {"Observation": "4TE"}},
            {"metadata": {"Observation": None}},
            "the manifest says Observation = '4TE', but the path says None",
        ),
        (
            {"rid": "1-A"},
            {"rid": "1-B"},
            "the manifest says its RID is '1-A', but the path says '1-B'",
        ),
        (
            {"description": "one"},
            {"description": "other"},
            "the manifest says its description is 'one', but the path says 'other'",
        ),
    ],
)
def test_a_contradiction_names_both_sources_and_both_values(
    facts: dict[str, Any], others: dict[str, Any], sentence: str
):
    """Also where one in between says nothing of it."""
    statements = [says("the manifest", **facts), says("asset-type"), says("the path", **others)]

    with pytest.raises(Contradiction) as refusal:
        merge(IMAGES, statements)

    assert str(refusal.value) == sentence


def test_a_contradiction_is_told_with_the_strongest_source():
    statements = [says("the workspace", rid="1-A"), says("the manifest", rid="1-A")]

    with pytest.raises(Contradiction, match=r"^the workspace says .* but the path says"):
        merge(IMAGES, [*statements, says("the path", rid="1-B")])


def test_types_never_contradict_each_other():
    """They may be changed after the file was written; the strongest source knows."""
    assert merge(IMAGES, [says("a", types=()), says("b", types=("Image",))]).types == ()
    assert merge(IMAGES, [says("a"), says("b", types=("Image",))]).types == ("Image",)


def test_nobody_says_nothing():
    assert merge(IMAGES, []) == Statement("nobody", "Image", schema="demo")


_STATEMENTS = st.lists(
    st.builds(
        Statement,
        source=st.sampled_from("abc"),
        table=st.just("Image"),
        metadata=st.dictionaries(
            st.sampled_from(["Subject", "Observation"]), st.sampled_from([None, "1", "2"])
        ),
        rid=st.sampled_from([None, "1-A", "1-B"]),
        description=st.sampled_from([None, "x"]),
    ),
    max_size=4,
)


@patient
@given(statements=_STATEMENTS)
def test_whether_sources_agree_does_not_depend_on_their_order(statements: list[Statement]):
    def outcome(order: list[Statement]) -> object:
        try:
            one = merge(IMAGES, order)
        except Contradiction:
            return "contradiction"
        return dict(one.metadata), one.rid, one.description

    assert outcome(statements) == outcome(statements[::-1])


# ---------------------------------------------------------------- the values of a row


COLUMNS = "Acquisition_Date, Acquisition_Time, Observation, Subject"


def test_every_metadata_column_has_its_value():
    assert checked_values(MODEL, IMAGES, {"Subject": "4T6", "Acquisition_Date": "2026-03-04"}) == {
        "Acquisition_Date": "2026-03-04",
        "Acquisition_Time": None,
        "Observation": None,
        "Subject": "4T6",
    }


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({}, "column Subject must have a value"),
        ({"Subject": None}, "column Subject must have a value"),
        (
            {"Subject": "4T6", "Acquisition_Date": "yesterday"},
            "'yesterday' is not a valid date for column Acquisition_Date",
        ),
        (
            {"Subject": "4T6", "Sub": 1, "Colour": 2},
            f"demo:Image has no metadata column 'Colour', 'Sub'; it has {COLUMNS}",
        ),
        (
            {"Subject": "4T6", "MD5": "0"},
            f"demo:Image has no metadata column 'MD5'; it has {COLUMNS}",
        ),
    ],
)
def test_values_that_make_no_row_are_refused_with_the_column(metadata: dict[str, Any], why: str):
    with pytest.raises(ValueError, match=f"^{why}$"):
        checked_values(MODEL, IMAGES, metadata)


def test_a_table_without_metadata_takes_none():
    boxes = MODEL.name_to_table(BOX)

    assert checked_values(MODEL, boxes, {}) == {}
    with pytest.raises(ValueError, match="it has none"):
        checked_values(MODEL, boxes, {"Subject": "4T6"})


def test_a_contradiction_about_a_column_that_does_not_exist_is_about_the_column():
    statements = [says("a", metadata={"Sub": "1"}), says("b", metadata={"Sub": "2"})]

    one = merge(asset_table(), statements)

    assert one.metadata == {"Sub": "1"}
