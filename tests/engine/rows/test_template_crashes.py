"""Killed before or after any one call, a second process ends where one without a crash does.

A sample of the calls is taken by default; `SOAK=1` takes every one.
"""

import os
import shutil
from contextlib import suppress

import pytest

from engine.rig import Crash, Power, crash_name
from engine.rows.templates import LOOSE, MAPPING, SCAN, Letters, lettered

FIRST = {
    "create_record_before_upload": True,
    "hatrac_templates": {"hatrac_uri": "/hatrac/lab/{RID}/{name}"},
}
ASKING = {
    "metadata_query_templates": ["/entity/demo:Subject/RID={subject}"],
    "column_map": MAPPING["column_map"] | {"Notes": "{Name} at {_upload_time_}"},
    "hatrac_templates": {"hatrac_uri": "/hatrac/lab/{_upload_time_}/{name}"},
    "hatrac_options": {"force": True},
}
KEYLESS = {"target_table": ["lab", "Loose"]}
CALLS = ("catalog.query", "catalog.insert", "catalog.replace", "store.put", "journal.commit")
MATRIX = [
    (kind, call, number, after)
    for kind in ("first", "asking", "keyless", "updating")
    for call in CALLS
    for number in range(4 if call == "journal.commit" else 2)
    for after in (False, True)
]
CASES = MATRIX if os.environ.get("SOAK") else MATRIX[1::5]


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with lettered(tmp_path_factory.mktemp("letters")) as ready:
        yield ready


@pytest.mark.parametrize("case", CASES, ids=crash_name)
def test_a_crash_doubles_nothing(tmp_path, ready, case):
    kind, call, number, after = case
    lab = Letters(tmp_path, ready)
    mapping = {"first": FIRST, "asking": ASKING, "keyless": KEYLESS, "updating": {}}[kind]
    table = LOOSE if kind == "keyless" else SCAN
    if kind == "updating":
        lab.api.insert(SCAN, {"Name": lab.name, "Subject": "old"})
    before = set(lab.api.versions())

    with suppress(Crash):
        lab.bring(mapping, power=Power(call, number, after=after))
    record, _ = lab.bring(mapping, files={})

    assert record.state == "uploaded", record.why
    (row,) = (row for row in lab.api.rows(table) if row["Name"] == lab.name)
    assert row["Subject"] == "1-S001"
    assert lab.api.content(row["URL"]) == lab.rid.encode()
    new = {name: found for name, found in lab.api.versions().items() if name not in before}
    assert list(new.values()) == [[row["URL"]]]


@pytest.mark.parametrize(
    ("who", "kind"),  # a writer may not update the row that is made first
    [("owner", "first"), ("owner", "plain"), ("writer", "keyless"), ("writer", "plain")],
)
def test_a_lost_journal_doubles_nothing(tmp_path, ready, who, kind):
    """The `record_query_template` finds the row, its URL the object."""
    lab = Letters(tmp_path, ready)
    own = {"hatrac_templates": {"hatrac_uri": "/hatrac/{name}/x.tif"}}  # a folder of its own
    mapping = own | {"first": FIRST, "keyless": KEYLESS, "plain": {}}[kind]
    record, _ = lab.bring(mapping, who=who)
    assert record.state == "uploaded", record.why
    before = lab.api.tables(), lab.api.versions()
    shutil.rmtree(lab.folder / "state")

    record, _ = lab.bring(mapping, who=who, files={})

    assert record.state == "uploaded", record.why
    assert (lab.api.tables(), lab.api.versions()) == before
