"""Directories are given to the columns that they can only be meant for, or to none."""

import itertools
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import (
    IMAGE,
    KNOWN,
    MODEL,
    RULES,
    asset_table,
    entry,
    model_of,
    observed,
    only_asset,
    only_leftover,
    patient,
    planned,
    workspace,
)
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.metadata.metadata_order import (
    Directories,
    Reference,
    columns_text,
    read_columns,
)
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.model import TableName
from deriva_watch.core.plan.path_metadata import questions
from deriva_watch.core.plan.plan import make_plan
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration
from deriva_watch.core.spec.spec import Spec

SCAN = {
    "Acquisition_Date": "2026-03-04",
    "Acquisition_Time": "2026-03-04T05:06:07",
    "Observation": "4TE",
    "Subject": "4T6",
}


def read(table, *segments, known=(), in_order=False):
    """Return what *segments* say of a table of `asset_table`."""
    columns = tuple(sorted(MODEL.asset_metadata(table)))
    return Directories(table, columns, segments, in_order).read(dict(known))


def folder(*segments):
    """Return the path of an image below these directories."""
    return f"asset/demo/Image/{'/'.join(segments)}/a.png"


@pytest.mark.parametrize("order", list(itertools.permutations(SCAN)))
def test_every_order_of_a_row_whose_values_tell_themselves_apart_is_found(order):
    asset = only_asset(planned(folder(*(SCAN[column] for column in order))))

    assert asset.values == SCAN
    assert asset.order == (None if list(order) == sorted(order) else order)


@patient
@given(st.permutations(["2026-03-04", "None", "None", "4T6"]))
def test_none_is_a_missing_value_wherever_it_stands(segments):
    values = only_asset(planned(folder(*segments))).values

    assert values == SCAN | {"Acquisition_Time": None, "Observation": None}


def test_a_date_is_no_moment():
    table = asset_table(Day="date", Moment="timestamp")

    assert read(table, "2026-03-04 01:02:03", "2026-03-04").values == {
        "Day": "2026-03-04",
        "Moment": "2026-03-04 01:02:03",
    }


def test_what_can_be_read_in_two_ways_is_refused_with_both():
    left = only_leftover(planned("asset/lab/Thing/x/y/a.png", rules=_lab(A="text", B="text")))

    assert "A = x, B = y; or A = y, B = x" in left.why
    assert 'metadata_order = "sorted"' in left.next


def test_equal_values_are_the_same_row_in_any_order():
    table = asset_table(A="float8", B="float8")

    assert read(table, "1.0", "1.0").values == {"A": "1.0", "B": "1.0"}
    assert read(table, "1.0", "1.00").inferred is None


def test_a_file_that_cannot_be_read_does_not_stop_its_neighbours():
    rules = _lab(A="text", B="text")

    plan = planned("asset/lab/Thing/x/y/a.png", "asset/lab/Thing/x/x/b.png", rules=rules)

    assert [asset.path for asset in plan.assets] == ["asset/lab/Thing/x/x/b.png"]
    assert [left.path for left in plan.leftovers] == ["asset/lab/Thing/x/y/a.png"]


def test_sorted_by_the_settings_needs_no_search():
    rules = replace(_lab(A="text", B="text"), metadata_in_order=True)

    assert only_asset(planned("asset/lab/Thing/y/x/a.png", rules=rules)).values == {
        "A": "y",
        "B": "x",
    }


def test_the_word_of_the_path_builder_is_taken_to_the_letter():
    """There, a text that reads None is that text."""
    rules, said = _lab(A="text", B="text"), Sources(columns={TableName("lab", "Thing"): ("A", "B")})

    plan = planned(
        "asset/lab/Thing/.columns.json", "asset/lab/Thing/None/x/a.png", said=said, rules=rules
    )

    assert only_asset(plan).values == {"A": "None", "B": "x"}


def test_the_word_of_a_path_builder_that_knew_other_columns_is_refused():
    rules, said = _lab(A="text", B="text"), Sources(columns={TableName("lab", "Thing"): ("A", "C")})

    left = only_leftover(planned("asset/lab/Thing/x/y/a.png", said=said, rules=rules))

    assert "names A/C, but the metadata columns are A/B" in left.why


def test_a_file_of_that_name_is_data_where_there_is_no_order_to_tell():
    assert only_asset(planned("asset/demo/BoundingBox/.columns.json")).file_name == ".columns.json"


def test_a_rid_is_the_last_directory_of_an_order_that_is_known():
    rules = _lab(A="text", B="text")

    asset = only_asset(planned("asset/lab/Thing/y/x/4-XY/a.png", rules=rules))

    assert (asset.values, asset.given_rid) == ({"A": "y", "B": "x"}, "4-XY")


def test_more_than_six_columns_are_not_searched():
    columns = dict.fromkeys("ABCDEFG", "int4")
    rules = _lab(**columns)

    left = only_leftover(planned("asset/lab/Thing/1/2/3/4/5/6/7/a.png", rules=rules))
    alike = only_asset(
        planned("asset/lab/Thing/None/None/None/None/None/None/None/a.png", rules=rules)
    )
    told = only_asset(
        planned("asset/lab/Thing/1/2/3/4/5/6/7/a.png", rules=replace(rules, metadata_in_order=True))
    )

    assert "has 7 metadata columns, too many" in left.why
    assert set(alike.values.values()) == {None}
    assert told.values == {c: n for n, c in enumerate("ABCDEFG", 1)}


def test_rows_that_do_not_exist_are_named():
    left = only_leftover(planned(folder("2026-03-04", "2026-03-04 01:02:03", "4ZZ", "4YY")))

    assert "in no order do they name rows that exist" in left.why
    assert "demo:Subject has no 4YY, 4ZZ" in left.why


def test_a_manifest_answers_what_the_path_leaves_open():
    """Only the source that nobody can read by itself is passed over."""
    said = workspace("Thing/a.png", metadata={"A": "x", "B": "y"})

    asset = only_asset(
        planned("asset/lab/Thing/y/x/a.png", said=said, rules=_lab(A="text", B="text"))
    )

    assert asset.values == {"A": "x", "B": "y"}


def test_only_what_types_leave_open_is_asked_of_the_catalog():
    clear = observed(entry(folder("None", "2026-03-04 01:02:03", "None", "4T6")))
    paths = [folder("4TE", "4T6", f"2026-03-04 01:02:{n:02}", "2026-03-04") for n in range(60)]
    seen = observed(*map(entry, paths))

    asked = questions(seen, Sources(), RULES)

    assert asked == {reference: {"4TE", "4T6"} for reference in KNOWN}
    assert questions(clear, Sources(), RULES)[Reference(TableName("demo", "Subject"), "RID")] >= {
        "4T6"
    }


def test_none_may_be_the_name_of_a_row_that_exists():
    """Then it is not clear whether the value is missing."""
    observation = Reference(TableName("demo", "Observation"), "RID")
    rules = replace(RULES, known={**KNOWN, observation: frozenset({"None"})})

    left = only_leftover(
        planned(folder("2026-03-04", "2026-03-04 01:02:03", "None", "4T6", "4-XY"), rules=rules)
    )

    assert "Observation = None" in left.why


def test_many_images_are_read_within_seconds():
    paths = [
        f"asset/demo/Image/4TE/4T6/2026-03-04 01:{n // 60 % 60:02}:{n % 60:02}/2026-03-04/{n}.png"
        for n in range(2_000)
    ]
    seen = observed(*map(entry, paths))
    start_s = time.process_time()  # a neighbour's load is not ours

    questions(seen, Sources(), RULES)
    plan = make_plan(seen, Sources(), RULES)

    assert len(plan.assets) == 2_000
    order = "Observation/Subject/Acquisition_Time/Acquisition_Date"
    assert plan.notices["asset/demo/Image"].endswith(f"{order} (2000)")
    assert time.process_time() - start_s < 15


def test_the_columns_that_a_builder_tells_are_read_as_written():
    assert read_columns(columns_text(["B", "Ä"])) == ("B", "Ä")
    for text in ("", "[]", '{"columns": "A"}', '{"columns": [1]}'):
        with pytest.raises(ValueError, match=r".+"):
            read_columns(text)


def test_too_few_values_for_the_columns_that_need_one_are_refused():
    with pytest.raises(RefusedError, match="is ambiguous"):
        Directories(
            MODEL.name_to_table(IMAGE), tuple(sorted(SCAN)), ("None", "None", "4ZZ", "4YY")
        ).read(KNOWN)


def _lab(**types):

    model = model_of(asset_table(**types))
    return replace(RULES, model=model, spec=Spec(bulk_upload_configuration(model)))
