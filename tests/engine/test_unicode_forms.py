"""Names that the disk has decomposed, as in a tree from macOS, and everybody else composed."""

import json
from unicodedata import normalize

import pytest


@pytest.fixture
def forms(fresh):
    """Return a function that gives one name, with an accent, in a form."""
    word = fresh()
    return lambda form: normalize(form, f"é {word}")


def notices(rig):
    return {event.about: event.why for event in rig.events if type(event).__name__ == "NoticeAdded"}


def test_a_manifest_describes_a_file_in_another_form_and_is_told_its_row(lab, forms):
    names = {form: f"{forms(form)}.png" for form in ("NFC", "NFD")}
    entry = {"metadata": {"Subject": "1-S001"}, "asset_types": ["Image"]}
    manifest = {"version": 1, "assets": {f"Image/{names['NFC']}": entry}}
    types = "asset-type/demo/Image.jsonl"
    files = {
        f"assets/Image/{names['NFD']}": "x",
        "asset-manifest.json": json.dumps(manifest),
        types: json.dumps({names["NFC"]: ["Image"]}),
    }

    record, rig = lab.upload(files)

    assert record.state == "uploaded", record.why
    [row] = [row for row in lab.api.rows("demo:Image") if row["Filename"] == names["NFD"]]
    assert row["Subject"] == "1-S001"
    assert "another Unicode form" in notices(rig)["names of files"]
    root = lab.folder / "data/deriva-ml/execution" / lab.rid
    told = json.loads((root / "asset-manifest.json").read_text())["assets"]
    assert {key: (each["status"], each["rid"]) for key, each in told.items()} == {
        f"Image/{names['NFC']}": ("uploaded", row["RID"])
    }


def test_a_row_names_its_file_and_its_term_in_another_form(lab, forms):
    term, image = forms("NFC"), f"asset/demo/Image/__NULL__/__NULL__/__NULL__/1-S001/{forms('NFD')}"
    for vocabulary in ("deriva-ml:Asset_Type", "demo:Image_Quality"):
        facts = {"Description": "A test.", "ID": f"x:{lab.rid}", "URI": f"/id/{lab.rid}"}
        lab.api.insert(vocabulary, {"Name": term, "Synonyms": [], **facts})
    path = "feature/demo/Image/Quality/Quality.jsonl"
    quality = {"Image": forms("NFC"), "Image_Quality": forms("NFD")}
    files = {
        image: "x",
        path: json.dumps(quality),
        "asset-type/demo/Image.jsonl": json.dumps({forms("NFD"): [forms("NFD")]}),
    }

    record, rig = lab.upload(files)

    assert record.state == "uploaded", record.why
    rid = lab.files()[image].rid
    values = lab.api.rows("demo:Execution_Image_Quality")
    assert [row["Image_Quality"] for row in values if row["Image"] == rid] == [term]
    types = lab.api.rows("demo:Image_Asset_Type")
    assert [link["Asset_Type"] for link in types if link["Image"] == rid] == [term]
    assert notices(rig).keys() == {"asset types", "demo:Image", path}


def test_a_row_of_a_table_is_the_row_whose_key_is_in_another_form(lab, forms):
    lab.api.insert("demo:Subject", {"Name": forms("NFC")})
    path = "table/demo/Subject/Subject.csv"

    for again in (False, True):
        record, rig = lab.upload({path: f"Name\n{forms('NFD')}\n"})
        assert record.state == "uploaded", record.why
        assert again or "Name are sent as demo:Subject has them" in notices(rig)[path]

    there = [row["Name"] for row in lab.api.rows("demo:Subject")]
    assert forms("NFC") in there
    assert forms("NFD") not in there


def test_a_file_is_the_asset_whose_row_has_its_name_in_another_form(lab, forms):
    folder = "execution-asset/Model_File"
    lab.upload({f"{folder}/{forms('NFC')}": forms("NFC")})
    other = lab.another()

    record, rig = other.upload({f"{folder}/{forms('NFD')}": forms("NFC")})

    assert record.state == "uploaded", record.why
    [file] = other.files().values()
    rows = lab.api.rows("deriva-ml:Execution_Asset")
    assert [row["Filename"] for row in rows if row["MD5"] == file.md5] == [forms("NFC")]
    assert f"row {file.rid} has its name in another Unicode form" in notices(rig)[file.path]
