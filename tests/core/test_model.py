"""What is read from a catalog's schema: assets, vocabularies, associations."""

from dataclasses import replace

import pytest

from core.given import ASSET, BOX, IMAGE, MODEL, asset_table, model_of
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import (
    FILE_COLUMNS,
    TERM_COLUMNS,
    CatalogModel,
    Column,
    ForeignKey,
    Schema,
    Table,
    TableName,
    read_model,
)

EXECUTION = TableName("deriva-ml", "Execution")
ASSET_TYPE = TableName("deriva-ml", "Asset_Type")
ASSET_ROLE = TableName("deriva-ml", "Asset_Role")


def test_the_asset_tables_are_found_by_their_columns():
    assert {str(table.full_name) for table in MODEL.find_assets()} == {
        "deriva-ml:Execution_Asset",
        "deriva-ml:Execution_Metadata",
        "deriva-ml:File",
        "demo:Image",
        "demo:BoundingBox",
        "WWW:File",
    }


@pytest.mark.parametrize(
    ("table", "is_asset", "is_vocabulary"),
    [
        (IMAGE, True, False),
        (ASSET_TYPE, False, True),
        (EXECUTION, False, False),
        (TableName("odd", "Odd Table"), False, False),
    ],
)
def test_a_table_is_what_its_columns_say(table: TableName, is_asset: bool, is_vocabulary: bool):
    assert MODEL.is_asset(table) is is_asset
    assert MODEL.is_vocabulary(table) is is_vocabulary


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (IMAGE, {"Acquisition_Date", "Acquisition_Time", "Observation", "Subject"}),
        (BOX, set()),
        (TableName("WWW", "File"), {"Page"}),
    ],
)
def test_metadata_columns_are_those_that_nobody_fills_by_himself(
    table: TableName, columns: set[str]
):
    assert MODEL.asset_metadata(table) == columns


@pytest.mark.parametrize(
    "name",
    ["Image", "demo:Image", IMAGE, MODEL.tables[IMAGE]],
    ids=["bare", "full", "name", "table"],
)
def test_a_table_is_found_by_every_way_to_call_it(name: str | TableName | Table):
    assert MODEL.name_to_table(name) is MODEL.tables[IMAGE]


def test_a_bare_name_of_several_tables_is_refused_with_all_of_them():
    with pytest.raises(RefusedError, match="deriva-ml:File, WWW:File"):
        MODEL.name_to_table("File")


@pytest.mark.parametrize("name", ["Nowhere", "demo:Nowhere", TableName("x", "Image"), "", ":"])
def test_a_name_of_no_table_is_refused_by_that_name(name: str | TableName):
    with pytest.raises(RefusedError, match="no such table") as refusal:
        MODEL.name_to_table(name)

    assert repr(str(name)) in refusal.value.what


def test_a_name_with_spaces_is_a_name():
    assert MODEL.name_to_table("odd:Odd Table").column["a:b"].type == "text"


def test_columns_tell_their_type_and_whether_they_must_be_given():
    image = MODEL.name_to_table(IMAGE).column

    assert image["Subject"] == Column("Subject", "text", nullable=False, has_default=False)
    assert image["Acquisition_Date"].type == "date"
    assert image["RID"].has_default


@pytest.mark.parametrize("asset", [IMAGE, ASSET])
def test_an_asset_is_linked_to_its_execution_with_a_role(asset: TableName):
    link = MODEL.find_association(asset, EXECUTION)

    assert link is not None
    assert link.table == TableName(asset.schema, f"{asset.table}_Execution")
    assert (link.own, link.other, link.target) == (asset.table, "Execution", EXECUTION)
    assert dict(link.others) == {ASSET_ROLE: "Asset_Role"}


@pytest.mark.parametrize("asset", [IMAGE, ASSET])
def test_an_asset_is_linked_to_its_types(asset: TableName):
    link = MODEL.find_association(asset, ASSET_TYPE)

    assert link is not None
    assert link.table == TableName(asset.schema, f"{asset.table}_Asset_Type")
    assert dict(link.others) == {}


def test_the_sides_of_an_association_follow_the_question():
    link = MODEL.find_association(EXECUTION, IMAGE)

    assert link is not None
    assert (link.own, link.other, link.target) == ("Execution", "Image", IMAGE)


@pytest.mark.parametrize("other", [ASSET_ROLE, TableName("demo", "Subject"), IMAGE])
def test_tables_that_nothing_links_have_no_association(other: TableName):
    assert MODEL.find_association(IMAGE, other) is None


def test_a_table_whose_pair_is_not_unique_is_no_association():
    """A link could be doubled by sending it again."""
    link = MODEL.tables[TableName("demo", "Image_Execution")]
    keyless = replace(link, keys=(frozenset({"RID"}),))
    tables = {**MODEL.tables, link.full_name: keyless}

    assert CatalogModel(tables).find_association(IMAGE, EXECUTION) is None


def test_further_references_of_an_association_do_not_hide_the_pair():
    """A table with a third reference in its key, such as a feature's values, links no pair."""
    link = MODEL.tables[TableName("demo", "Image_Execution")]
    wider = replace(link, keys=(frozenset({"Image", "Execution", "Asset_Role"}),))
    tables = {**MODEL.tables, link.full_name: wider}

    assert CatalogModel(tables).find_association(IMAGE, EXECUTION) is None


def test_a_reference_of_several_columns_leads_nowhere_by_itself():
    pair = ForeignKey(("a", "b"), IMAGE, ("RID", "URL"))
    table = Table(Schema("s"), "t", (), (), (pair,))

    assert table.key_to(IMAGE) is None


def test_only_the_schema_of_deriva_ml_is_known_by_name():
    assert MODEL.ml_table("Execution") is MODEL.tables[EXECUTION]
    assert MODEL.ml_table("Image") is None
    assert model_of(asset_table()).ml_table("Execution") is None


@pytest.mark.parametrize(
    ("names", "is_asset", "is_vocabulary"),
    [
        (FILE_COLUMNS, True, False),
        (TERM_COLUMNS, False, True),
        (FILE_COLUMNS - {"MD5"}, False, False),
    ],
)
def test_a_table_of_these_columns_only_is_one(
    names: frozenset[str], is_asset: bool, is_vocabulary: bool
):
    columns = tuple(Column(name, "text", nullable=True, has_default=False) for name in names)
    table = Table(Schema("s"), "t", columns, (), ())

    assert model_of(table).is_asset("t") is is_asset
    assert model_of(table).is_vocabulary("t") is is_vocabulary


def test_a_catalog_without_tables_has_a_model():
    assert read_model({"schemas": {"public": {"tables": {}}}}).find_assets() == []


@pytest.mark.parametrize("text", ["demo:Image", "odd:Odd Table", "s:a:b"])
def test_the_full_name_of_a_table_is_read_as_it_is_written(text: str):
    assert str(TableName.parse(text)) == text
