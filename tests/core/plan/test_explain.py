"""What a person is told of a file before its upload: what becomes of it, or why nothing does."""

import pytest

from core.given import MODEL, RID, ROOT, SPEC, TREE, only_asset, planned
from deriva_watch.core.plan.candidates import Rules
from deriva_watch.core.plan.explain import misses, outlook
from deriva_watch.core.spec.spec import Spec


def test_the_object_and_the_row_are_told_with_what_is_known_only_later_in_braces():
    coming = outlook(only_asset(planned(f"{TREE}/a b.png")), ROOT)

    assert coming.object_name == "/hatrac/Image/{md5}.a%20b.png"
    assert coming.row == {
        "MD5": "{md5}",
        "URL": "{URI}",
        "Length": 7,
        "Filename": "a b.png",
        "Acquisition_Date": "2026-03-04",
        "Subject": "4T6",
    }


def test_names_from_elsewhere_stay_open():
    mapping = {
        "file_pattern": "/scans/(?P<who>[^/]+)/",
        "target_table": ["demo", "Image"],
        "column_map": {"URL": "{URI}", "Description": "{Name} in {_upload_year_}", "RID": "{RID}"},
        "hatrac_templates": {"hatrac_uri": "/hatrac/{who}/{Name}/{file_name}"},
    }
    rules = Rules(MODEL, Spec({"asset_mappings": [mapping]}), RID, None)

    coming = outlook(only_asset(planned("scans/ann/a b.tif", rules=rules)), ROOT)

    assert coming.object_name == "/hatrac/ann/{Name}/a_b.tif"
    assert coming.row == {"URL": "{URI}", "Description": "{Name} in {_upload_year_}"}


@pytest.mark.parametrize(
    ("path", "upto"),
    [
        (f"{ROOT}/asset/demo/Image/2026-03-04/x/a.png", "/asset/demo/Image/2026-03-04/x/a.png"),
        (f"{ROOT}/asset/demo/Imag/2026-03-04/a.png", "/asset/demo/Imag"),
        (f"{ROOT}/notes.txt", "/"),
    ],
)
def test_the_longest_part_that_fits_is_told_of_the_nearest_mapping(path: str, upto: str):
    nearest, *_ = misses(SPEC, path, ROOT)

    assert nearest.key == "file_pattern"
    assert nearest.matched == ROOT + upto
    assert nearest.wants


def test_each_mapping_tells_which_of_its_patterns_is_not_found():
    spec = Spec(
        {
            "asset_mappings": [
                {"target_table": ["a", "b"], "dir_pattern": "^/data/scans/[0-9]+/"},
                {"target_table": ["c", "d"], "dir_pattern": "/data/", "ext_pattern": "[.]tif$"},
            ]
        }
    )

    told = {miss.mapping: miss for miss in misses(spec, "/data/scans/x/a.png", "/data")}

    assert (told[0].key, told[0].matched, told[0].wants) == (
        "dir_pattern",
        "/data/scans/",
        "[0-9]+/",
    )
    assert (told[1].key, told[1].target) == ("ext_pattern", "c:d")
    assert told[1].matched == "/data/scans/x/a."


def test_how_far_a_path_matches_is_not_told_where_that_takes_too_long():
    # Without QQ in the path the whole pattern fails at once; what stands before QQ takes long.
    mapping = {"file_pattern": "(?:a|aa)+[x-z]QQ", "target_table": ["demo", "Image"]}

    (miss,) = misses(Spec({"asset_mappings": [mapping]}), f"{ROOT}/{'a' * 60}-", ROOT)

    assert miss.matched is None
    assert miss.wants == "(?:a|aa)+[x-z]QQ"
