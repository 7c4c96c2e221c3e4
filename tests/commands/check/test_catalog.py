"""`deriva-watch check`: catalog, spec, terms, rights, namespaces; each by its real cause."""

import json

import pytest

from deriva_watch.core.model import read_model
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration
from deriva_watch.sandbox import starter
from running import Api, sandbox


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A catalog without terms, whose writer may neither insert images nor lease RIDs."""
    folder = tmp_path_factory.mktemp("strict")
    document = json.loads(starter.schema_text())
    document["schemas"]["demo"]["tables"]["Image"]["acls"] = {"insert": []}
    document["schemas"]["public"]["tables"]["ERMrest_RID_Lease"]["acls"] = {"insert": []}
    (folder / "schema.json").write_text(json.dumps(document))
    with sandbox(folder / "data", schema=folder / "schema.json") as said:
        yield said


def test_an_ordinary_writer_has_all_that_is_needed(found, data):
    status, lines = found(data, who="writer")

    assert status == 0
    assert lines["rights on files"]["verdict"] == "good"
    assert lines["rights on RIDs"]["verdict"] == "good"
    assert lines["bulk spec"]["verdict"] == lines["namespaces"]["verdict"] == "good"
    assert lines["rights on executions"]["verdict"] == "note"  # it may not update


def test_an_owner_needs_no_right_of_its_own(found, data, strict):
    _, lines = found(data, at=strict)

    assert lines["rights on files"]["verdict"] == "good"
    assert lines["rights on RIDs"]["verdict"] == "good"


def test_rights_that_are_missing_are_named(found, data, strict):
    status, lines = found(data, at=strict, who="writer")

    assert status == 2
    files = lines["rights on files"]
    assert files["verdict"] == "note"  # the other tables can be used
    assert files["why"] == "we lack: insert demo:Image"
    assert lines["rights on RIDs"]["verdict"] == "wrong"


def test_a_right_that_a_drop_folder_needs_is_in_the_way(found, data, strict, scanner):
    scanner("Image")

    _, lines = found(data, at=strict, who="writer")

    assert lines["rights on files"]["verdict"] == "wrong"
    assert "demo:Image, which the settings name" in lines["rights on files"]["what"]


def test_terms_that_are_missing_are_named_with_what_comes_of_it(found, data, strict):
    _, lines = found(data, at=strict)

    assert lines["roles"]["verdict"] == "wrong"
    assert "has no Output" in lines["roles"]["what"]
    assert lines["statuses"]["verdict"] == "note"
    assert lines["asset types"]["verdict"] == "note"


def test_a_catalog_that_we_may_not_enter_is_told(found, data, tmp_path):
    with sandbox(tmp_path / "closed") as closed:
        owner = Api(closed)
        owner.call("PUT", f"{owner.catalog}/acl/enumerate", json=[])
        status, lines = found(data, at=closed, who="writer")

    assert status == 2
    assert "does not allow sandbox-writer" in lines["catalog"]["why"]
    assert lines["bulk spec"]["verdict"] == "unseen"
    assert lines["bulk spec"]["why"] == "the catalog cannot be read"


def test_a_spec_that_does_not_fit_the_catalog_hides_nothing(found, data, tmp_path):
    spec = {"asset_mappings": [{"asset_type": "file", "file_pattern": "(", "column_map": {}}]}
    (tmp_path / "spec.json").write_text(json.dumps(spec))

    status, lines = found(data, spec={"source": "file", "file": str(tmp_path / "spec.json")})

    assert status == 2
    assert "asset_mappings[0]" in lines["bulk spec"]["why"]
    assert lines["rights on files"]["good"]


def test_a_drop_folder_that_does_not_fit_the_catalog_names_the_key(found, data, scanner):
    folder = scanner("Imaeg")

    status, lines = found(data)

    assert status == 2
    line = lines[f"[[drop]] {folder}"]
    assert "table:" in line["why"]
    assert "Image" in line["why"]


def test_a_namespace_that_is_not_there_is_told_before_the_first_file(found, data, tmp_path):
    document = bulk_upload_configuration(read_model(json.loads(starter.schema_text())))
    mapping = document["asset_mappings"][0]
    mapping["hatrac_templates"]["hatrac_uri"] = "/hatrac/new/place/{md5}.{file_name}"
    (tmp_path / "spec.json").write_text(json.dumps({"asset_mappings": [mapping]}))

    status, lines = found(data, spec={"source": "file", "file": str(tmp_path / "spec.json")})

    assert status == 0
    assert lines["namespaces"]["verdict"] == "note"
    assert lines["namespaces"]["facts"]["status"] == {"/hatrac/new/place": 404}
