"""Which mapping takes a path, with what groups, and which of two roads its files go."""

from typing import Any

import pytest

from core.given import SPEC, taken
from deriva_watch.core.model import TableName
from deriva_watch.core.spec.spec import AssetMapping, Spec

FILE: dict[str, Any] = {"target_table": ["s", "t"], "column_map": {}}


def spec(*mappings: dict[str, Any], **more: Any) -> Spec:
    return Spec({"asset_mappings": [FILE | mapping for mapping in mappings], **more})


def test_all_patterns_must_be_found_and_their_groups_are_put_together():
    one = spec(
        {
            "dir_pattern": "/(?P<who>[a-z]+)/(?P<what>x)",
            "ext_pattern": "[.](?P<ext>tif)$",
            "file_pattern": "(?P<what>scan)",
        }
    )

    assert taken("/ann/x/scan.TIF", one).groups == {"who": "ann", "ext": "TIF", "what": "scan"}
    assert one.match("/ann/x/scan.png") is None
    assert one.match("/ann/y/scan.tif") is None
    assert one.match("/ann/x/other.tif") is None


def test_a_mapping_without_patterns_takes_everything():
    assert taken("/any/thing", spec({})).groups == {}


def test_case_counts_except_in_the_extension():
    assert spec({"file_pattern": "scan"}).match("/SCAN") is None
    assert spec({"ext_pattern": "tif$"}).match("/a.TIF")


def test_a_spec_may_want_to_see_only_what_lies_below_the_directory():
    one = spec({"file_pattern": "^scans/"}, relative_path_validation=True)

    assert one.match("/data/run/scans/a.tif", "/data/run")
    assert spec({"file_pattern": "^scans/"}).match("/data/run/scans/a.tif", "/data/run") is None


def test_groups_called_schema_and_table_tell_the_table_where_no_target_does():
    one = Spec({"asset_mappings": [{"file_pattern": "/(?P<SCHEMA>[^/]+)/(?P<Table>[^/]+)/"}]})

    assert taken("/demo/Image/a", one).table == TableName("demo", "Image")


def road(**changes: Any) -> AssetMapping:
    mapping = {
        "target_table": ["demo", "Image"],
        "file_pattern": "/(?P<Subject>[^/]+)/",
        "column_map": {
            "MD5": "{md5}",
            "URL": "{URI}",
            "Length": "{file_size}",
            "Filename": "{file_name}",
            "Subject": "{Subject}",
        },
        "hatrac_templates": {"hatrac_uri": "/hatrac/x/{md5}"},
        "record_query_template": "/entity/{target_table}/MD5={md5}&Filename={file_name}",
    }
    return Spec({"asset_mappings": [mapping | changes]}).mappings[0]


def test_generated_mappings_go_by_content():
    assert all(m.by_content for m in SPEC.mappings if m.asset_type == "file")
    assert road().by_content
    assert road(hatrac_options={"chunk_size": 5}).by_content


COLUMNS = {"MD5": "{md5}", "URL": "{URI}", "Length": "{file_size}", "Filename": "{file_name}"}


@pytest.mark.parametrize(
    "changes",
    [
        {"record_query_template": "/entity/{target_table}/MD5={md5}"},
        {"record_update_template": "/attributegroup/x"},
        {"create_record_before_upload": True},
        {"hatrac_options": {"versioned_urls": False}},
        {"hatrac_options": {"allow_versioning": False}},
        {"hatrac_options": {"force": True}},
        {"metadata_query_templates": ["/entity/demo:Subject"]},
        {"column_value_templates": {"a": "b"}},
        {"column_map": COLUMNS | {"Subject": "always the same"}},
        {"column_map": COLUMNS | {"Length": "7"}},
        {"checksum_types": ["md5"]},
        {"pre_processors": [{"processor": "LoggingProcessor"}]},
        {"hatrac_templates": {"hatrac_uri": "/hatrac/x/{file_name}"}},
    ],
)
def test_all_that_a_mapping_says_beyond_that_is_followed_to_the_letter(changes: dict[str, Any]):
    assert not road(**changes).by_content
