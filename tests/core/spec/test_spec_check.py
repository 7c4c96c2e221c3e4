"""A bulk spec is checked whole before it is used; what is wrong with it is named with its place."""

from typing import Any

import pytest

from core.given import DOCUMENT, MODEL, SPEC
from deriva_watch.core.errors import UnusableSpecError
from deriva_watch.core.model import read_model
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.spec.spec_check import check, checked_spec

MAPPING: dict[str, Any] = {
    "target_table": ["demo", "Image"],
    "file_pattern": "/(?P<Subject>[^/]+)/[^/]+[.]tif$",
    "column_map": {"URL": "{URI}", "MD5": "{md5}", "Subject": "{Subject}"},
    "hatrac_templates": {"hatrac_uri": "/hatrac/x/{md5}"},
    "record_query_template": "/entity/{target_table}/MD5={md5}",
}


def problems(allowed: frozenset[str] = frozenset(), **changes: Any) -> list[str]:
    """Return what is wrong with a spec whose one mapping has these *changes*."""
    top = {key: changes.pop(key) for key in TOP if key in changes}
    spec, found = Spec.read({"asset_mappings": [MAPPING | changes], **top})
    return found + check(spec, MODEL, allowed)


TOP = ("version_compatibility", "file_ext_mappings", "mime_overrides", "strict_update_check")


def test_the_spec_that_is_made_from_the_model_can_be_used():
    assert check(SPEC, MODEL, frozenset()) == []


def test_a_mapping_of_other_people_can_be_used():
    assert problems() == []


def test_a_key_too_many_hides_nothing_else_that_is_wrong():
    found = problems(hatrac_options={"chunksize": 5}, column_map={"MD5": "{md6}"})

    assert [problem.rpartition(":")[0] for problem in found] == [
        "asset_mappings[0].hatrac_options.chunksize",
        "asset_mappings[0].column_map.MD5",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        # keys and types
        ({"colunm_map": {}}, "[0].colunm_map: unknown key; did you mean 'column_map'?"),
        (
            {"hatrac_options": {"chunksize": 5}},
            "asset_mappings[0].hatrac_options.chunksize: unknown key; did you mean 'chunk_size'?",
        ),
        ({"hatrac_options": {"force": "perhaps"}}, "options.force: must be true or false"),
        ({"hatrac_options": {"chunk_size": -1}}, "chunk_size: must be a number of bytes above 0"),
        ({"hatrac_options": {"chunk_size": "\u00b2"}}, "chunk_size: must be a number of"),
        ({"hatrac_options": {"chunk_size": "9" * 5000}}, "chunk_size: must be a number of bytes"),
        ({"version_compatibility": [[">=" + "9" * 5000]]}, "version_compatibility: Exceeds"),
        ({"asset_type": "row"}, "asset_mappings[0].asset_type: must be 'file' or 'table'"),
        ({"checksum_types": ["crc32"]}, "asset_mappings[0].checksum_types[0]: must be 'md5'"),
        ({"metadata_query_templates": "/entity"}, "metadata_query_templates: must be a list"),
        ({"pre_processors": [{"name": "x"}]}, "pre_processors[0].name: unknown key"),
        ({"mime_overrides": {"a/b": "c"}}, "mime_overrides.a/b: must be a list"),
        # patterns and templates
        ({"dir_pattern": "["}, "asset_mappings[0].dir_pattern: the pattern does not compile"),
        ({"column_map": {"MD5": "{md5"}}, "[0].column_map.MD5: '{md5' is not a template"),
        ({"column_map": {"MD5": "{md5.real}"}}, "{md5.real} is not a plain name"),
        ({"column_map": {"MD5": "{md5:d}"}}, "a text cannot be written as a number"),
        ({"column_map": {"MD5": "{md5:>99999999}"}}, "the width in {md5:>99999999}"),
        # names that nothing provides
        ({"column_map": {"MD5": "{md6}"}}, "nothing provides 'md6'; did you mean 'md5'?"),
        (
            {"hatrac_templates": {"hatrac_uri": "/hatrac/{RID}"}},
            "asset_mappings[0].hatrac_templates.hatrac_uri: nothing provides 'RID'",
        ),
        (
            {"record_query_template": "/entity/{target_table}/Colour={Colour}"},
            "asset_mappings[0].record_query_template: nothing provides 'Colour'",
        ),
        (
            {"record_query_template": "/entity/{target_table}/U={URI}", "create_record_before_upload": True},  # noqa: E501
            "asset_mappings[0].record_query_template: nothing provides 'URI'",
        ),
        (
            {"metadata_query_templates": ["/entity/demo:Subject/Name={Sex}"]},
            "asset_mappings[0].metadata_query_templates[0]: nothing provides 'Sex'",
        ),
        (
            {"column_value_templates": {"a": "{b}", "b": "{Subject}"}},
            "asset_mappings[0].column_value_templates.a: nothing provides 'b'",
        ),
        # what the catalog does not have
        (
            {"target_table": ["demo", "Imagee"]},
            "target_table: there is no table demo:Imagee; did you mean 'demo:Image'?",
        ),
        ({"target_table": None}, "asset_mappings[0].target_table: must be a list of 2"),
        (
            {"column_map": {"Subjekt": "{Subject}"}},
            "column_map: demo:Image has no column 'Subjekt'; did you mean 'Subject'?",
        ),
        (
            {"allow_empty_columns_on_update": ["Colour"]},
            "allow_empty_columns_on_update: demo:Image has no column 'Colour'",
        ),
        (
            {"metadata_query_templates": ["/entity/demo:Subjekt/RID={Subject}"]},
            "metadata_query_templates[0]: there is no table demo:Subjekt",
        ),
        ({"metadata_query_templates": ["/foo/demo:Subject"]}, "it must start with /entity/"),
        # what is missing
        ({"hatrac_templates": {}}, "asset_mappings[0].hatrac_templates: has no hatrac_uri"),
        ({"record_query_template": ""}, "asset_mappings[0]: has no record_query_template"),
        ({"column_map": {}}, "asset_mappings[0]: has no column_map"),
        # versions
        ({"version_compatibility": [[">=2.0"]]}, "it is for deriva-py >=2.0, and this one follows"),
        ({"version_compatibility": [[]]}, "it is for deriva-py"),
        ({"version_compatibility": [["2.0"]]}, "version_compatibility[0][0]: '2.0' is not a version comparison"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(changes: dict[str, Any], problem: str):
    (found,) = problems(**changes)

    assert problem in found


@pytest.mark.parametrize(
    "changes",
    [
        {"column_map": {"Subject": "{Subject_urlencoded}", "Filename": "{file_name}"}},
        {"column_map": {"Description": "a constant", "Length": "{file_size:>20}"}},
        {"column_map": {"Description": "{_upload_year_:04d}-{_upload_month_:02d}"}},
        {"metadata_query_templates": ["/entity/demo:Subject/RID={Subject}"],
         "column_map": {"Description": "{Name}"}},
        {"metadata_query_templates": ["/attribute/demo:Subject/RID={Subject}/a:=Name,Sex"],
         "column_map": {"Description": "{a} {Sex}"}},
        {"metadata_query_templates": ["/entity/A:=demo:Subject/X:=demo:Image/$A"],
         "column_map": {"Description": "{whatever}"}},  # nobody can tell what a join gives
        {"column_value_templates": {"b": "{Subject}", "a": "{b}"},
         "column_map": {"Description": "{a}"}},
        {"file_ext_mappings": {".tif": {"kind": "scan"}}, "column_map": {"Description": "{kind}"}},
        {"record_update_template": "/attributegroup/{target_table}/RID;MD5",
         "column_map": {"RID": "{RID}", "MD5": "{md5}"}},
        {"create_record_before_upload": True,
         "hatrac_templates": {"hatrac_uri": "/hatrac/{RID}/{md5}"}},
        {"checksum_types": ["md5", "sha512"], "column_map": {"Description": "{sha512_base64}"}},
        {"version_compatibility": [[">=1.4.0", "<1.5"], ["==1.7.12"]]},
        {"hatrac_options": {"force": "yes", "chunk_size": "1000", "versioned_uris": False}},
    ],
)  # fmt: skip
def test_what_deriva_py_understands_is_understood(changes: dict[str, Any]):
    assert problems(**changes) == []


def processed(name: str, **more: Any) -> dict[str, Any]:
    return {"pre_processors": [{"processor": name, **more}]}


def test_a_processor_is_refused_unless_the_operator_lists_it():
    ours = processed("Mine", processor_type="lab.uploads.Mine")

    (found,) = problems(**ours)

    assert found == (
        "asset_mappings[0].pre_processors[0]: "
        "lab.uploads.Mine is not listed in [spec] allowed_processors"
    )
    assert problems(frozenset({"lab.uploads.Mine"}), **ours) == []


def test_a_processor_that_reads_a_file_named_by_the_spec_needs_leave_too():
    ours = processed("MetadataProcessor", processor_params={"input_file": "/etc/shadow.json"})

    (found,) = problems(**ours)

    assert "MetadataProcessor is not listed in [spec] allowed_processors" in found
    assert problems(frozenset({"MetadataProcessor"}), **ours) == []


@pytest.mark.parametrize(
    ("processor", "problem"),
    [
        (processed("FileRenamProcessor"), "did you mean 'FileRenameProcessor'?"),
        (processed("FileRenameProcessor"), "its replacement cannot be used"),
        (
            processed(
                "FileRenameProcessor",
                processor_params={"replacement": "x", "rename_physical_file": True},
            ),
            "rename_physical_file is not possible",
        ),
        (processed("BagArchiveProcessor"), "is found by dir_pattern alone"),
    ],
)
def test_a_processor_that_cannot_do_its_work_is_named(processor: dict[str, Any], problem: str):
    (found,) = problems(**processor)

    assert problem in found


@pytest.mark.parametrize(
    "processor",
    [
        processed("LoggingProcessor"),
        processed("FileRenameProcessor", processor_params={"replacement": "{base_path}/x"}),
        processed("any name", processor_type="deriva_watch.NullSentinelProcessor"),
        processed(
            "NullSentinelProcessor",
            processor_type="deriva_ml.asset.null_sentinel_processor.NullSentinelProcessor",
        ),
    ],
)
def test_processors_that_are_built_in_need_no_leave(processor: dict[str, Any]):
    assert problems(**processor) == []


def test_more_mappings_than_anybody_writes_are_not_gone_through():
    _, problems = Spec.read({"asset_mappings": [{}] * 10_001})

    assert problems == ["asset_mappings: has more than 10,000 entries"]


def test_all_problems_are_told_at_once():
    broken = {"file_pattern": "("}
    odd = {"column_map": {"Nothing": "{nobody}"}}
    document = {"asset_mappings": [MAPPING | broken, MAPPING | odd], "nonsense": 1}

    with pytest.raises(UnusableSpecError) as refusal:
        checked_spec(document, MODEL, frozenset())

    for part in ("nonsense", "[0].file_pattern", "[1].column_map: demo:Image", "'nobody'"):
        assert part in refusal.value.why


def test_the_annotations_of_a_catalog_are_kept():
    assert read_model(DOCUMENT | {"annotations": {"tag": 1}}).annotations == {"tag": 1}
