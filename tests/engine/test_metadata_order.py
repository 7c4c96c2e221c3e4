"""The order of metadata directories is known from what lies beside them, or found out."""

import json

SCAN = "asset/demo/Image/1-S001/2026-05-06 01:02:03/None/2026-05-06/scan.png"
WORD = "asset/demo/Image/.columns.json"


def rows(lab):
    """Return the rows of images that this execution has."""
    rids = {file.rid for file in lab.files().values()}
    return [row for row in lab.api.rows("demo:Image") if row["RID"] in rids]


def test_a_path_of_the_released_deriva_ml_is_read_and_said_to_be_inferred(lab):
    record, rig = lab.upload({SCAN: lab.rid})

    (row,) = rows(lab)
    assert record.state == "uploaded"
    assert (row["Subject"], row["Acquisition_Date"]) == ("1-S001", "2026-05-06")
    assert (row["Observation"], row["Acquisition_Time"]) == (None, "2026-05-06T01:02:03")
    (notice,) = rig.told("notice.added")
    assert "order=inferred" in notice.why


def test_the_word_that_a_path_builder_left_is_not_uploaded(lab):
    columns = ["Acquisition_Date", "Acquisition_Time", "Observation", "Subject"]
    path = "asset/demo/Image/2026-05-06/__NULL__/__NULL__/1-S001/scan.png"

    record, rig = lab.upload({path: lab.rid, WORD: json.dumps({"columns": columns})})

    assert record.state == "uploaded"
    assert set(lab.files()) == {path}
    assert rig.told("notice.added") == []


def test_word_that_cannot_be_read_is_named(lab):
    """The files beside it are read without it."""
    record, _ = lab.upload({SCAN: lab.rid, WORD: "no JSON"})

    assert record.state == "refused"
    assert lab.states() == {SCAN: "linked", WORD: "refused"}
