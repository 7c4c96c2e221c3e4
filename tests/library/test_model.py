"""`DerivaModel`: what the bindings' model says, in the words of the library."""

from types import SimpleNamespace

import pytest
from deriva.core.ermrest_model import Model
from requests import HTTPError

from core.given import DOCUMENT, IMAGE, MODEL, SPEC
from deriva_watch import (
    DerivaMLException,
    DerivaModel,
    asset_table_upload_spec,
    bulk_upload_configuration,
)


def catalog_of(model):
    return SimpleNamespace(
        getCatalogModel=model,
        get_server_uri=lambda: "https://data.example.org:8443/ermrest/catalog/1",
        catalog_id="1",
    )


@pytest.fixture(scope="module")
def model():
    return DerivaModel(catalog_of(lambda: Model(None, DOCUMENT)))


def test_it_knows_its_host(model):
    assert model.hostname == "data.example.org"


@pytest.mark.parametrize("name", ["Image", "demo:Image"])
def test_a_table_is_found_by_its_name(model, name):
    table = model.name_to_table(name)

    assert (table.schema.name, table.name) == IMAGE
    assert model.name_to_table(table) is table


def test_a_name_that_is_none_is_refused(model):
    with pytest.raises(DerivaMLException, match="has no table Imago"):
        model.name_to_table("Imago")
    with pytest.raises(DerivaMLException, match="has no table other:Image"):
        model.name_to_table("other:Image")


def test_a_name_of_two_tables_is_refused_with_both():
    def two():
        found = Model(None, DOCUMENT)
        found.schemas["deriva-ml"].tables["Image"] = SimpleNamespace(
            name="Image", schema=found.schemas["deriva-ml"]
        )
        return found

    with pytest.raises(DerivaMLException, match=r"several schemas .* deriva-ml:Image"):
        DerivaModel(catalog_of(two)).name_to_table("Image")


def test_it_says_the_same_of_every_table_as_the_daemons_model(model):
    for name, table in MODEL.tables.items():
        assert model.is_asset(str(name)) == MODEL.is_asset(table)
        assert model.is_vocabulary(str(name)) == MODEL.is_vocabulary(table)
    assert [t.name for t in model.find_assets()] == [t.name for t in MODEL.find_assets()]
    for table in MODEL.find_assets():
        assert model.asset_metadata(str(table.full_name)) == MODEL.asset_metadata(table)


def test_metadata_is_asked_of_asset_tables_only(model):
    with pytest.raises(DerivaMLException, match="Subject is not an asset table"):
        model.asset_metadata("Subject")


def test_an_association_is_found_with_its_columns(model):
    table, asset, execution = model.find_association("Image", "Execution")

    assert (table.name, asset.name, execution.name) == ("Image_Execution", "Image", "Execution")


def test_what_no_table_links_is_refused(model):
    with pytest.raises(DerivaMLException, match="no table links Subject to Image"):
        model.find_association("Subject", "Image")


def test_both_models_make_the_same_specification(model):
    assert bulk_upload_configuration(model) == SPEC.document


def test_the_length_of_chunks_stands_in_every_asset_mapping(model):
    spec = bulk_upload_configuration(model, chunk_size=5_000_000)
    one = asset_table_upload_spec(model, "Image", chunk_size=5_000_000)

    options = [m["hatrac_options"] for m in spec["asset_mappings"] if m["asset_type"] == "file"]
    assert one in spec["asset_mappings"]
    assert {option["chunk_size"] for option in options} == {5_000_000}
    assert "chunk_size" not in asset_table_upload_spec(model, "Image")["hatrac_options"]


def test_a_catalog_that_does_not_answer_is_named():
    def fails():
        raise HTTPError("404")

    with pytest.raises(DerivaMLException, match=r"model of catalog 1 of data.example.org:8443"):
        DerivaModel(catalog_of(fails))
