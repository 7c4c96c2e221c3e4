"""What is said of a file changes after it became a row."""

import hashlib
import json

import pytest

from core.given import IMAGE as NAME
from engine.rig import IMAGE, Crash, Power, earlier

S1, S2 = "1-S001", "1-S002"
MANIFEST = "asset-manifest.json"


@pytest.fixture
def content(fresh):
    """Bytes that no other test has."""
    return fresh().encode()


def described(**metadata):
    """Return a manifest with one image."""
    image = {"asset_table": NAME.table, "schema": NAME.schema, "metadata": metadata}
    return json.dumps({"version": 1, "assets": {"Image/a.bin": image}})


def bring(lab, content, who="owner", **metadata):
    """Upload the image as it is described now; return where the execution stands."""
    lab.write({"assets/Image/a.bin": content, MANIFEST: described(**metadata)})
    with lab.rigged(who) as rig:
        return rig.bring()


def rows(lab, content):
    """Return what the catalog's rows of the content say, by RID."""
    md5 = hashlib.md5(content).hexdigest()
    found = [row for row in lab.api.rows(str(IMAGE)) if row["MD5"] == md5]
    return {row["RID"]: (row["Subject"], row["Observation"]) for row in found}


def test_a_row_of_ours_says_what_is_said_by_now(lab, content):
    bring(lab, content, Subject=S1)
    ((rid, _),) = rows(lab, content).items()

    record = bring(lab, content, Subject=S2, Observation="1-B001")

    assert (record.state, rows(lab, content)) == ("uploaded", {rid: (S2, "1-B001")})


def test_what_is_not_said_any_more_stays(lab, content):
    bring(lab, content, Subject=S1, Observation="1-B001")
    told = rows(lab, content)

    record = bring(lab, content, Subject=S1)

    assert (record.state, rows(lab, content)) == ("uploaded", told)


def test_a_value_that_the_catalog_refuses_is_named_beside_the_old_one(lab, content):
    bring(lab, content, Subject=S1)
    told = rows(lab, content)

    record = bring(lab, content, Subject="9-9999")

    assert (record.state, rows(lab, content)) == ("refused", told)
    assert f"Subject = '{S1}', but now '9-9999'" in record.why
    assert "violates foreign key constraint" in record.why


@pytest.mark.parametrize("whose", ["another program", "another execution"])
def test_a_row_that_stands_for_more_than_the_file_is_not_changed(lab, content, whose):
    if whose == "another program":
        earlier(lab.api, content, "a.bin", Subject=S1)
    else:
        bring(lab.beside(), content, Subject=S1)
    bring(lab, content, Subject=S1)
    told = rows(lab, content)

    record = bring(lab, content, Subject=S2)

    assert (record.state, rows(lab, content)) == ("refused", told)
    assert f"Subject = '{S1}', but now '{S2}'" in record.why


def test_a_kill_in_the_middle_of_an_update_costs_nothing(lab, content):
    bring(lab, content, Subject=S1)
    ((rid, _),) = rows(lab, content).items()

    lab.write({MANIFEST: described(Subject=S2)})
    for after in (False, True):
        with lab.rigged(power=Power("catalog.replace", after=after)) as rig, pytest.raises(Crash):
            rig.bring()
    with lab.rigged() as rig:
        record = rig.bring()

    assert (record.state, rows(lab, content)) == ("uploaded", {rid: (S2, None)})
