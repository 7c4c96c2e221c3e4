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


def test_what_a_drop_folder_names_and_the_catalog_does_not_have_is_told(
    found, data, tmp_path, monkeypatch, ready
):
    (tmp_path / "in").mkdir()
    drop = {"path": f"{tmp_path}/in", "table": "Image", "pattern": ".*"}
    wrong = drop | {
        "columns": {"Observation": "9-ZZZZ"},
        "lookup": {"Subject": {"table": "Subject", "column": "Name", "value": "subject-9"}},
        "workflow": {"name": "Acquisition", "version": "1"},
    }
    monkeypatch.setenv("DERIVA_WATCH_DROP", json.dumps([wrong]))
    status, lines = found(data)

    line = lines[f"[[drop]] {tmp_path}/in"]
    assert (status, line["verdict"]) == (2, "wrong")
    workflow, subject, observation = line["why"].split("; ")
    about = "Name 'Acquisition' and Version '1'"
    assert workflow.startswith(f"workflow: no row of deriva-ml:Workflow has {about}")
    assert "there is no row of demo:Subject with Name = 'subject-9'" in subject
    assert "subject-1" in subject  # is near
    assert observation == (
        "columns.Observation: there is no row of demo:Observation with RID = '9-ZZZZ'"
    )

    api = Api(ready)
    (made,) = api.insert("deriva-ml:Workflow", {"Name": "Acquisition", "Version": "1"})
    right = drop | {
        "columns": {"Observation": api.rows("demo:Observation")[0]["RID"]},
        "lookup": {"Subject": {"table": "Subject", "column": "Name", "value": "subject-1"}},
        "workflow": made["RID"],
    }
    monkeypatch.setenv("DERIVA_WATCH_DROP", json.dumps([right]))
    status, lines = found(data)
    assert (status, lines[f"[[drop]] {tmp_path}/in"]["verdict"]) == (0, "good")


def test_a_namespace_that_is_not_there_is_told_before_the_first_file(found, data, tmp_path):
    document = bulk_upload_configuration(read_model(json.loads(starter.schema_text())))
    mapping = document["asset_mappings"][0]
    mapping["hatrac_templates"]["hatrac_uri"] = "/hatrac/new/place/{md5}.{file_name}"
    (tmp_path / "spec.json").write_text(json.dumps({"asset_mappings": [mapping]}))

    status, lines = found(data, spec={"source": "file", "file": str(tmp_path / "spec.json")})

    assert status == 0
    assert lines["namespaces"]["verdict"] == "note"
    assert lines["namespaces"]["facts"]["status"] == {"/hatrac/new/place": 404}
