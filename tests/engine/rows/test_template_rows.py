"""Mappings that are followed to the letter: what is found, inserted, updated, stored, refused."""

import hashlib
from base64 import b64encode

import pytest

from engine.rig import stored
from engine.rows.templates import LOOSE, MAPPING, SCAN, Letters, lettered

URI = {"hatrac_uri": "/hatrac/lab/{subject}/{name}.tif"}


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with lettered(tmp_path_factory.mktemp("letters")) as ready:
        yield ready


@pytest.fixture
def lab(tmp_path, ready):
    return Letters(tmp_path, ready)


def columns(**more):
    return {"column_map": MAPPING["column_map"] | more}


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


# ---------------------------------------------------------------- the row


def test_a_file_becomes_the_row_that_its_column_map_says(lab):
    record, _ = lab.bring(columns(Visit="{_upload_day_}", Notes="a {constant}", Taken="{gone}"))

    assert record.state == "waiting"  # a spec that names what nothing provides is not used
    assert "nothing provides 'constant'" in record.why

    record, rig = lab.bring(columns(Notes="by {_identity_id}, of {subject}"))

    assert (record.state, lab.states()) == ("uploaded", {lab.path: "linked"})
    row = lab.row()
    assert row.pop("Notes").endswith(", of 1-S001")
    assert row == {
        "Name": lab.name,
        "URL": f"/hatrac/lab/1-S001/{lab.name}.tif:" + row["URL"].rpartition(":")[2],
        "MD5": md5(lab.rid),
        "Length": len(lab.rid),
        "Subject": "1-S001",
    }
    assert lab.api.content(row["URL"]) == lab.rid.encode()
    assert rig.power.calls("catalog.insert")


def test_a_file_whose_value_does_not_fit_its_template_is_refused_before_it_is_sent(lab):
    record, rig = lab.bring(columns(Notes="{subject:05d}"))

    assert record.state == "refused"
    assert "does not fit the template {subject:05d}" in lab.whys()[0]
    assert not lab.rows()
    assert not rig.power.calls("store.put")


def test_a_row_that_says_the_same_is_left_alone(lab):
    lab.bring()
    before = lab.api.rows(SCAN)
    other = Letters(lab.folder / "other", lab.ready)
    other.path, other.write({lab.path: lab.rid})

    record, _ = other.bring(files={lab.path: lab.rid})

    assert record.state == "uploaded"
    assert lab.api.rows(SCAN) == before
    (file,) = other.files().values()
    assert file.adopted


def test_a_row_that_says_something_else_is_updated(lab):
    lab.api.insert(SCAN, {"Name": lab.name, "Subject": "old", "Notes": "kept"})

    record, _ = lab.bring()

    assert record.state == "uploaded"
    assert lab.row()["Subject"] == "1-S001"
    assert lab.row()["MD5"] == md5(lab.rid)  # it was NULL
    assert lab.row()["Notes"] == "kept"  # nothing is said of it


def test_what_a_file_says_nothing_of_may_be_made_empty(lab):
    pattern = {"file_pattern": "/(?P<subject>scans)/[^/]+/(?P<name>[^/]+)[.]tif(?P<more>x)?$"}
    lab.api.insert(SCAN, {"Name": lab.name, "Notes": "old"})

    lab.bring(pattern | columns(Notes="{more}"))
    assert lab.row()["Notes"] == "old"

    lab.bring(
        pattern | columns(Notes="{more}") | {"allow_empty_columns_on_update": ["Notes"]},
        files={lab.path: "again " + lab.rid},
    )
    assert "Notes" not in lab.row()


def test_a_row_that_only_a_template_may_update_is_left_alone(lab):
    lab.api.insert(SCAN, {"Name": lab.name, "Subject": "old"})

    record, _ = lab.bring({"require_record_update_template": True})

    assert record.state == "refused"
    assert "record_update_template" in lab.whys()[0]
    assert lab.row() == {"Name": lab.name, "Subject": "old"}


def test_a_row_is_updated_by_its_template(lab):
    lab.api.insert(SCAN, {"Name": lab.name, "Subject": "old"})
    update = {"record_update_template": "/attributegroup/{target_table}/Name;URL,MD5,Length"}

    record, _ = lab.bring(update)

    assert record.state == "uploaded"
    assert lab.row()["MD5"] == md5(lab.rid)
    assert lab.row()["Subject"] == "old"  # the template does not write it


@pytest.mark.parametrize("strict", [True, False])
def test_a_row_that_no_key_finds_again_is_updated_only_without_the_strict_check(lab, strict):
    lab.api.insert(LOOSE, {"Name": lab.name, "Subject": "old"})

    record, _ = lab.bring({"target_table": ["lab", "Loose"]}, strict_update_check=strict)

    assert record.state == ("refused" if strict else "uploaded")
    assert lab.row(LOOSE)["Subject"] == ("old" if strict else "1-S001")
    assert ("no unique key" in str(lab.whys())) is strict


def test_a_row_that_the_query_does_not_find_but_its_key_does_is_not_made_twice(lab):
    lab.api.insert(SCAN, {"Name": lab.name})

    record, _ = lab.bring({"record_query_template": "/entity/{target_table}/MD5={md5}"})

    assert record.state == "refused"
    assert "a row with the same key" in lab.whys()[0]


def test_a_value_that_its_column_cannot_hold_refuses_the_file(lab):
    record, _ = lab.bring(columns(Visit="{subject}"))

    assert record.state == "refused"
    assert lab.whys() == ["'1-S001' is not a valid int4 for column Visit"]


def test_names_with_special_characters_are_quoted_where_they_must_be(lab):
    path = f"scans/a&b=c #1/{lab.name} 100%?.tif"

    record, _ = lab.bring(files={path: lab.rid})

    assert record.state == "uploaded"
    assert lab.row()["Name"] == f"{lab.name} 100%?"
    assert lab.row()["Subject"] == "a&b=c #1"
    assert lab.api.content(lab.row()["URL"]) == lab.rid.encode()
    again = Letters(lab.folder / "again", lab.ready)
    again.bring(files={path: lab.rid})
    assert lab.row()["Name"] == f"{lab.name} 100%?"  # found, not doubled


def test_two_files_of_one_record_make_one_row(lab):
    files = {f"a/{lab.path}": lab.rid, f"b/{lab.path}": lab.rid}

    record, _ = lab.bring(files=files)

    assert record.state == "uploaded"
    assert lab.row()["Name"] == lab.name
    assert set(lab.states().values()) == {"linked"}


# ---------------------------------------------------------------- names from elsewhere


def test_an_answer_of_the_catalog_gives_names(lab):
    query = {"metadata_query_templates": ["/entity/demo:Subject/RID={subject}"]}
    value = {"column_value_templates": {"note": "{Name} ({RID})"}}

    lab.bring(query | value | columns(Notes="{note}", Subject="{Name}"))

    assert lab.row()["Notes"] == "subject-1 (1-S001)"
    assert lab.row()["Subject"] == "subject-1"


def test_a_query_without_an_answer_refuses_the_file(lab):
    query = {"metadata_query_templates": ["/entity/demo:Subject/RID={name}"]}

    record, _ = lab.bring(query)

    assert record.state == "refused"
    assert f"no row answers the query /entity/demo:Subject/RID={lab.name}" in lab.whys()[0]
    assert lab.rows() == []


def test_an_answer_takes_no_reserved_name_away(lab):
    query = {"metadata_query_templates": ["/attribute/demo:Subject/RID={subject}/md5:=Name,x:=RID"]}

    lab.bring(query | columns(Notes="{x}"))

    assert (lab.row()["MD5"], lab.row()["Notes"]) == (md5(lab.rid), "1-S001")


def test_the_extension_of_a_file_gives_names(lab):
    lab.bring(columns(Notes="{kind}"), file_ext_mappings={".tif": {"kind": "a scan"}})

    assert lab.row()["Notes"] == "a scan"


def test_other_digests_are_found_and_only_those_that_are_wanted_are_sent(lab):
    lab.bring(columns(Notes="{sha512}") | {"checksum_types": ["md5", "sha512"]})

    row, sha512 = lab.row(), hashlib.sha512(lab.rid.encode())
    assert row["Notes"] == sha512.hexdigest()
    headers = lab.api.head(row["URL"])
    assert headers["Content-MD5"] == b64encode(hashlib.md5(lab.rid.encode()).digest()).decode()
    assert "Content-SHA256" not in headers


# ---------------------------------------------------------------- the object


def test_an_object_with_the_same_content_is_used_again(lab):
    other = Letters(lab.folder / "other", lab.ready)
    lab.bring()

    other.bring(columns(Notes="{file_name}"), files={lab.path: lab.rid})

    name = lab.row()["URL"].rpartition(":")[0]
    assert lab.api.versions()[name] == [lab.row()["URL"]]


def test_another_content_becomes_the_next_version_and_the_row_names_it(lab):
    lab.bring()
    first = lab.row()["URL"]

    lab.bring(files={lab.path: "other " + lab.rid})

    assert lab.row()["URL"] != first
    assert lab.api.content(lab.row()["URL"]) == f"other {lab.rid}".encode()
    assert len(lab.api.versions()[first.rpartition(":")[0]]) == 2


@pytest.mark.parametrize("size", [10, 2500])
def test_another_content_is_refused_where_one_version_is_allowed(lab, size):
    once = {"hatrac_options": {"allow_versioning": False}}
    lab.bring(once)

    record, _ = lab.bring(once, files={lab.path: f"{lab.rid:*<{size}}"})

    assert record.state == "refused"
    assert "allows one version only" in lab.whys()[0]
    assert lab.row()["MD5"] == md5(lab.rid)


def test_a_forced_object_is_stored_again(lab):
    other = Letters(lab.folder / "other", lab.ready)
    lab.bring()
    first = lab.row()["URL"]

    other.bring({"hatrac_options": {"force": True}}, files={lab.path: lab.rid})

    assert len(lab.api.versions()[first.rpartition(":")[0]]) == 2
    assert lab.row()["URL"] != first


@pytest.mark.parametrize("word", ["versioned_uris", "versioned_urls"])
def test_a_row_may_name_the_object_without_its_version(lab, word):
    lab.bring({"hatrac_options": {word: False}})

    assert lab.row()["URL"] == f"/hatrac/lab/1-S001/{lab.name}.tif"


def test_a_namespace_that_is_not_there_is_not_made_against_the_spec(lab):
    uri = {"hatrac_templates": {"hatrac_uri": "/hatrac/nowhere/{name}"}}

    record, _ = lab.bring(uri | {"hatrac_options": {"create_parents": False}})

    assert record.state == "refused"
    assert lab.rows() == []


@pytest.mark.parametrize(
    ("options", "leaf"),
    [
        ({}, "a_b_.tif"),
        ({"sanitize_filenames": False}, "a%20b%28.tif"),
        ({"sanitize_filenames_pattern": "[b(]"}, "a%20__.tif"),
    ],
)
def test_the_name_of_an_object_is_made_plain(lab, options, leaf):
    record, _ = lab.bring({"hatrac_options": options}, files={f"scans/{lab.rid}/a b(.tif": "x"})

    assert record.state == "uploaded", record.why
    assert lab.row()["URL"].rpartition(":")[0] == f"/hatrac/lab/{lab.rid}/{leaf}"


def test_a_content_disposition_is_sent_in_plain_characters(lab):
    templates = URI | {"content-disposition": "filename*=UTF-8''{file_name}"}

    lab.bring({"hatrac_templates": templates}, files={f"scans/{lab.rid}/a b.tif": "x"})

    headers = lab.api.head(lab.row()["URL"])
    assert headers["Content-Disposition"] == "filename*=UTF-8''a_b.tif"
    assert lab.row()["URL"].rpartition(":")[0] == f"/hatrac/lab/{lab.rid}/a%20b.tif"


@pytest.mark.parametrize(("mime", "kind"), [({}, "image/tiff"), ({"a/b": ["tif"]}, "a/b")])
def test_the_type_of_a_file_follows_from_its_name(lab, mime, kind):
    uri = {"hatrac_templates": {"hatrac_uri": "/hatrac/lab/{md5}"}}

    lab.bring(uri, mime_overrides=mime)

    assert lab.api.head(lab.row()["URL"])["Content-Type"] == kind


def test_names_may_be_quoted_otherwise(lab):
    lab.bring(
        columns(Notes="{subject_urlencoded} {name_urlencoded}")
        | {"url_encoding_safe_overrides": {"subject": "@"}},
        files={f"scans/a@b {lab.rid}/x@y.tif": "x"},
    )

    assert lab.row()["Notes"] == f"a@b%20{lab.rid} x%40y"


# ---------------------------------------------------------------- the row first


def test_a_row_that_is_made_first_gives_its_rid_to_the_object(lab):
    first = {
        "create_record_before_upload": True,
        "hatrac_templates": {"hatrac_uri": "/hatrac/lab/{RID}/{name}"},
    }

    record, rig = lab.bring(first)

    (row,) = (row for row in lab.api.rows(SCAN) if row["Name"] == lab.name)
    assert record.state == "uploaded"
    assert row["URL"].startswith(f"/hatrac/lab/{row['RID']}/{lab.name}:")
    assert row["MD5"] == md5(lab.rid)
    names = [n for n in rig.power.names if n in {"catalog.insert", "store.put", "catalog.replace"}]
    assert names == ["catalog.insert", "store.put", "catalog.replace"]


# ---------------------------------------------------------------- an asset table of deriva-ml


def test_an_asset_is_linked_also_when_its_mapping_is_followed_to_the_letter(lab):
    mapping = {
        "target_table": ["demo", "Image"],
        "column_map": {
            "URL": "{URI}",
            "MD5": "{md5}",
            "Length": "{file_size}",
            "Filename": "{file_name}",
            "Subject": "{subject}",
            "Description": "from {base_name}",
        },
        "record_query_template": "/entity/{target_table}/MD5={md5}&Subject={subject}",
    }

    record, _ = lab.bring(mapping)

    assert record.state == "uploaded", record.why
    (image,) = (row for row in lab.api.rows("demo:Image") if row["MD5"] == md5(lab.rid))
    assert image["Description"] == f"from {lab.name}"
    links = [
        row["Image"] for row in lab.api.rows("demo:Image_Execution") if row["Execution"] == lab.rid
    ]
    assert links == [image["RID"]]


def test_files_of_two_roads_go_side_by_side(lab):
    plain = {
        "file_pattern": "/boxes/",
        "target_table": ["deriva-ml", "Execution_Asset"],
        "column_map": {
            "URL": "{URI}",
            "MD5": "{md5}",
            "Length": "{file_size}",
            "Filename": "{file_name}",
        },
        "hatrac_templates": {"hatrac_uri": "/hatrac/boxes/{md5}.{file_name}"},
        "record_query_template": "/entity/{target_table}/MD5={md5}&Filename={file_name}",
    }

    record, _ = lab.bring(plain, {}, files={lab.path: lab.rid, "boxes/a.json": lab.rid})

    assert record.state == "uploaded", record.why
    assert lab.row()["Name"] == lab.name
    assets = [r for r in lab.api.rows("deriva-ml:Execution_Asset") if r["MD5"] == md5(lab.rid)]
    assert [asset["Filename"] for asset in assets] == ["a.json"]


def test_an_object_that_somebody_else_stored_is_not_sent_again(lab):
    url = stored(lab.api, lab.rid.encode(), "a.tif")
    name = url.rpartition(":")[0]

    lab.bring({"hatrac_templates": {"hatrac_uri": "/hatrac/Image/{md5}.a.tif"}})

    assert lab.row()["URL"] == url
    assert lab.api.versions()[name] == [url]
