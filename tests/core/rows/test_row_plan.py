"""What of a row is sent, which table a feature has, and the order of tables."""

import pytest

from core.given import MODEL, entry, model_of, planned
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import Column, ForeignKey, Schema, Table, TableName
from deriva_watch.core.plan.features import FEATURE_NAME, asset_columns, feature_table, filled
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.rows.table_files import Format, RawRow
from deriva_watch.core.rows.table_order import levels

ODD = MODEL.tables[TableName("odd", "Odd Table")]


def rows(written=Format.CSV, **more):
    return RowsPlan(entry("x.csv"), ODD, written, **more)


def values(plan, **cells):
    """Return what is sent of a row with a key."""
    return plan.values(RawRow("line 2", {"Key Col": "k", **cells}))


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("num", " 7", 7),
        ("val", "1.5", 1.5),
        ("flag", "yes", True),
        ("tags", '["a", "b, c"]', ["a", "b, c"]),
        ("doc", '{"k": 1}', {"k": 1}),
        ("day", "2026-02-02", "2026-02-02"),
        ("x/y", "", ""),
        ("x/y", None, None),
    ],
)
def test_the_texts_of_csv_become_values(column, text, value):
    assert values(rows(), **{column: text})[column] == value


@pytest.mark.parametrize(
    ("column", "value"), [("doc", "a text"), ("doc", [1, None]), ("tags", ["a"]), ("num", 7)]
)
def test_the_values_of_json_stay_what_they_are(column, value):
    assert values(rows(Format.JSONL), **{column: value})[column] == value


@pytest.mark.parametrize(
    ("column", "text"), [("num", "x"), ("tags", "{a,b}"), ("tags", '"a"'), ("flag", "maybe")]
)
def test_what_is_no_value_of_its_column_is_named_with_it(column, text):
    with pytest.raises(ValueError, match=column):
        values(rows(), **{column: text})


def test_a_column_that_must_have_a_value_is_named():
    with pytest.raises(ValueError, match="Key Col must have a value"):
        rows().values(RawRow("line 2", {"num": "1"}))


def test_columns_that_the_table_does_not_have_are_named_with_those_that_it_has():
    with pytest.raises(RefusedError, match="has no column 'Nope'") as refusal:
        rows().check_columns(["Key Col", "Nope", "RID"])

    assert "x/y" in refusal.value.next
    assert "RID" not in refusal.value.next


def test_what_the_server_fills_is_not_sent():
    assert "RID" not in values(rows(), RID="X")


def test_a_value_that_is_given_goes_before_one_that_is_filled_in():
    plan = rows(Format.JSONL, fill={"x/y": "filled"})

    assert values(plan)["x/y"] == "filled"
    assert values(plan, **{"x/y": None})["x/y"] == "filled"
    assert values(plan, **{"x/y": "given"})["x/y"] == "given"


def test_the_digest_tells_rows_apart_and_not_the_order_of_their_columns():
    plan = rows()
    one, same, other = (
        plan.digest(RawRow("line 2", cells))
        for cells in ({"a": "1", "b": None}, {"b": None, "a": "1"}, {"a": "1", "b": ""})
    )

    assert one == same
    assert one != other


# ---------------------------------------------------------------- features


def table(name, *keys, default=None):
    """Return a table of the schema `lab` with a column for each of the tables it refers to."""
    defaults = {key: default if key == FEATURE_NAME else None for key in keys}
    columns = tuple(
        Column(key.table, "text", nullable=False, has_default=bool(value), default=value)
        for key, value in defaults.items()
    )
    references = tuple(ForeignKey((key.table,), key, ("RID",)) for key in keys)
    return Table(Schema("lab"), name, columns, (), references)


IMAGE = TableName("lab", "Image")
RUN = TableName("deriva-ml", "Execution")


def test_the_table_of_a_feature_is_the_one_whose_default_names_it():
    one = table("Anything", IMAGE, RUN, FEATURE_NAME, default="Quality")
    other = table("Execution_Image_Quality", IMAGE, RUN, FEATURE_NAME, default="Other")
    model = model_of(table("Image"), one, other, table("No_Feature", IMAGE, RUN))

    assert feature_table(model, "lab", "Image", "Quality") is one
    assert filled(one, "4-AB", "Quality") == {"Execution": "4-AB", "Feature_Name": "Quality"}


def test_without_a_default_the_name_tells():
    one = table("Execution_Image_Quality", IMAGE, RUN, FEATURE_NAME)
    model = model_of(table("Image"), one, table("Execution_Image_Other", IMAGE, RUN, FEATURE_NAME))

    assert feature_table(model, "lab", "Image", "Quality") is one


@pytest.mark.parametrize("count", [0, 2])
def test_a_feature_with_no_table_or_with_several_is_refused_by_name(count):
    twins = [table(f"T{n}", IMAGE, RUN, FEATURE_NAME, default="Quality") for n in range(count)]

    with pytest.raises(RefusedError, match="Quality"):
        feature_table(model_of(table("Image"), *twins), "lab", "Image", "Quality")


def test_the_asset_columns_of_a_feature_come_from_its_references():
    box = MODEL.tables[TableName("demo", "Execution_Image_BoundingBox")]

    assert asset_columns(MODEL, box) == {
        "Image": TableName("demo", "Image"),
        "BoundingBox": TableName("demo", "BoundingBox"),
    }


# ---------------------------------------------------------------- order and shapes


def test_tables_go_after_those_that_they_refer_to():
    names = [TableName("demo", name) for name in ("Image", "Observation", "Subject", "BoundingBox")]

    image, observation, subject, box = names
    assert levels(MODEL, names) == [[box, subject], [observation], [image]]


def test_in_a_cycle_the_names_decide():
    one, other = TableName("lab", "A"), TableName("lab", "B")
    model = model_of(table("A", other), table("B", one))

    assert levels(model, [other, one]) == [[one], [other]]


def test_an_asset_of_a_feature_is_an_asset_of_the_table_that_its_folder_names():
    plan = planned("feature/demo/Image/BoundingBox/asset/BoundingBox/box.json")

    assert [str(asset.table) for asset in plan.assets] == ["demo:BoundingBox"]


@pytest.mark.parametrize("name", ["Subject.csv", "Subject.json"])
def test_a_table_file_is_the_rows_of_its_table(name):
    [found] = planned(f"table/demo/Subject/{name}").rows

    assert (str(found.table), found.format) == ("demo:Subject", name.rpartition(".")[2])
