"""Directories that become one asset."""

import pytest

from core.given import MODEL, RID, ROOT, entry, only_asset, planned
from deriva_watch.core.completeness.observation import Entry, Kind
from deriva_watch.core.plan.candidates import Rules
from deriva_watch.core.spec.spec import Spec

MAPPING = {
    "dir_pattern": "/runs/",
    "target_table": ["demo", "Image"],
    "column_map": {"URL": "{URI}"},
    "hatrac_templates": {"hatrac_uri": "/hatrac/{md5}"},
    "pre_processors": [{"processor": "BagArchiveProcessor"}],
}
ODD = Entry("runs/one/pipe", 0, 0, 1, 9, kind=Kind.UNUSABLE, problem="it is a named pipe")


def rules(**changes: str) -> Rules:
    return Rules(MODEL, Spec({"asset_mappings": [MAPPING | changes]}), RID, None)


def test_all_that_lies_in_a_directory_is_one_asset():
    ignored = Entry("runs/one/a.part", 1, 0, 1, 8, kind=Kind.IGNORED)

    made = planned("runs/one/a", "runs/one/b", ignored, rules=rules())

    (asset,) = made.assets
    assert (asset.path, asset.also) == ("runs/one", ("runs/one/a", "runs/one/b"))
    assert [member.path for member in asset.members] == ["runs/one/a", "runs/one/b"]
    assert asset.entry.size_bytes == 14


def test_a_group_says_which_directory_it_is():
    named = rules(dir_pattern=f"(?P<archive_path>{ROOT}/runs/[^/]+)/")

    asset = only_asset(planned("runs/one/a", "runs/one/sub/b", rules=named))

    assert [member.path for member in asset.members] == ["runs/one/a", "runs/one/sub/b"]


def test_its_stamp_moves_with_that_of_any_file():
    one = only_asset(planned("runs/one/a", "runs/one/b", rules=rules()))
    other = only_asset(planned("runs/one/a", entry("runs/one/b", inode=5), rules=rules()))

    assert one.entry.stamp != other.entry.stamp


@pytest.mark.parametrize("group", [ROOT, "/elsewhere"])
def test_the_whole_directory_or_one_elsewhere_is_refused(group: str):
    outside = rules(
        dir_pattern=f"(?P<archive_path>{ROOT})/" if group == ROOT else "^(?P<archive_path>/[^/]+)/"
    )

    (left,) = planned("runs/one/a", rules=outside).leftovers

    assert "the whole directory, or be outside" in left.why


def test_a_bag_is_not_made_without_a_file_that_cannot_be_read():
    made = planned("runs/one/a", ODD, rules=rules())

    assert made.assets == ()
    whys = {left.path: left.why for left in made.leftovers}
    assert whys["runs/one/a"] == "its bag would be incomplete: runs/one/pipe: it is a named pipe"
