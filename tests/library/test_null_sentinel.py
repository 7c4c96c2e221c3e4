"""`NullSentinelProcessor`: deriva-py's own uploader makes the rows that we make."""

import json

import pytest

from deriva_watch import asset_file_path, bulk_upload_configuration
from deriva_watch.core.model import TableName, read_model
from oracle.case import case
from oracle.lab import write_lab
from oracle.rivals import Rivals, explained

NOTES = [None, "", ".", "..", "__NULL__", "%00", "a/b", "100%", "two\nlines", "é 日本", "None"]


@pytest.fixture
def rivals(tmp_path):
    (tmp_path / "rivals").mkdir()
    rivals = Rivals(tmp_path / "rivals")
    yield rivals
    rivals.close()


def test_every_text_and_null_arrive_through_a_path_whoever_uploads(rivals, tmp_path):
    model = read_model(json.loads(write_lab(tmp_path)["schema"].read_text()))
    table = model.name_to_table(TableName("lab", "Scan"))
    paths = {
        asset_file_path(tmp_path, "4-A", table, f"{number}.bin", {"Note": note, "Channel": 7}): note
        for number, note in enumerate(NOTES)
    }
    files = {str(path.relative_to(tmp_path)): path.name.encode() for path in paths}

    theirs, ours = rivals.both(case(bulk_upload_configuration(model), files))

    assert explained(theirs, ours) == ""
    rows = [json.loads(row) for row in theirs.end.rows["lab:Scan"]]
    made = {row["Filename"]: row["Note"] for row in rows}
    assert made == {path.name: note for path, note in paths.items()}
