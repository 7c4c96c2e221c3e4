"""Bulk specs of other people, held against the model."""

from typing import Any

import pytest

from core.given import (
    MODEL,
    RID,
    asset_table,
    manifest,
    model_of,
    only_asset,
    only_leftover,
    planned,
)
from deriva_watch.core.metadata.sources import Sources, read_manifest
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.spec.spec import Spec

THING = asset_table(Colour="text", Size="int4")


def by_mapping(**changes: Any) -> Rules:
    """Return rules with a mapping of `lab:Thing` that differs from ours by *changes*."""
    mapping = {
        "target_table": ["lab", "Thing"],
        "file_pattern": r".*/asset/lab/Thing/(?P<Colour>[^/]+)/",
        "column_map": {"URL": "{URI}", "MD5": "{md5}", "Colour": "{Colour}"},
    }
    model = model_of(THING, *MODEL.tables.values())
    return Rules(model, Spec({"asset_mappings": [mapping | changes]}), RID, None)


def test_a_mapping_of_other_people_is_followed():
    asset = only_asset(planned("asset/lab/Thing/red/a.bin", rules=by_mapping()))

    assert (asset.table, asset.values) == (THING.full_name, {"Colour": "red"})


@pytest.mark.parametrize("path", ["free/a.bin", "assets/Thing/a.bin"])
def test_a_mapping_of_other_people_takes_files_from_anywhere(path: str):
    """The manifest describes a flat file, whichever mapping takes it."""
    rules = by_mapping(file_pattern="[.]bin$")
    broken = Sources(read_manifest("{"))

    assert only_asset(planned(path, rules=rules)).table == THING.full_name
    refused = planned(path, rules=rules, said=broken).assets == ()
    assert refused is path.startswith("assets/")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"target_table": ["demo", "Subject"]},
            "mapping 0 of the bulk spec fills 'Colour', 'MD5', 'URL' of demo:Subject, which",
        ),
        ({"target_table": ["demo", "Nowhere"]}, "no table to call 'demo:Nowhere'"),
        (
            {"column_map": {"Colour": "{Colour}", "Taste": "sweet"}},
            "mapping 0 of the bulk spec fills 'Taste' of lab:Thing, which has no such column",
        ),
    ],
)
def test_a_mapping_that_makes_no_row_of_its_table_refuses_its_files(
    changes: dict[str, Any], why: str
):
    left = only_leftover(planned("asset/lab/Thing/red/a.bin", rules=by_mapping(**changes)))

    assert why in left.why


def test_a_value_that_the_spec_has_no_place_for_is_not_dropped_in_silence():
    said = manifest("Thing/a.bin", metadata={"Size": 5})
    rules = by_mapping(file_pattern=r".*/asset/lab/Thing/")

    left = only_leftover(planned("assets/Thing/a.bin", said=said, rules=rules))

    assert left.why == "the bulk spec does not fill 'Size' of lab:Thing"


@pytest.mark.parametrize("pattern", ["/nothing/like/that/", "/asset/lab/Thing/"])
def test_a_flat_file_without_a_mapping_for_its_table_is_refused(pattern: str):
    """Also where another table's mapping would take its place in the asset tree."""
    target = ["demo", "BoundingBox"]
    rules = by_mapping(file_pattern=pattern, target_table=target, column_map={"URL": "{URI}"})

    left = only_leftover(planned("assets/Thing/a.bin", rules=rules))

    assert left.why == "no mapping of the bulk spec matches files of lab:Thing"


def test_a_tree_without_a_mapping_for_its_table_is_refused_for_that_reason():
    left = only_leftover(planned("asset/lab/Thing/red/5/a.bin", rules=by_mapping(file_pattern="!")))

    assert "no mapping of the bulk spec matches files of lab:Thing" in left.why
