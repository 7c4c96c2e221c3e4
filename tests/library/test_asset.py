"""`upload_asset`: one file, one row, however often it is called."""

import threading

import pytest

from core.given import ASSET, IMAGE
from deriva_watch import DerivaMLException, upload_asset
from running import requests_seen


@pytest.fixture
def file(tmp_path, api):
    """A file with a content that no other test has."""
    path = tmp_path / "a scan.png"
    path.write_text(f"scan of {api.execution()}")
    return path


def rows_of(api, row):
    return [each for each in api.rows(str(IMAGE)) if each["MD5"] == row["MD5"]]


@pytest.fixture
def images(model):
    return model.name_to_table(IMAGE.table)


def test_it_returns_the_row_with_all_that_was_said(api, model, images, file):
    row = upload_asset(
        model, file, images, Subject="1-S001", Description="by hand", Acquisition_Date="2026-03-04"
    )

    assert rows_of(api, row) == [row]
    assert (row["Filename"], row["Length"]) == ("a scan.png", file.stat().st_size)
    assert (row["Subject"], row["Description"]) == ("1-S001", "by hand")
    assert row["Acquisition_Date"] == "2026-03-04"
    assert api.content(row["URL"]) == file.read_bytes()


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_the_same_again_is_the_same_row(ready, model, images, file, kind):
    """No object is sent either."""
    first = upload_asset(model, kind(file), images, Subject="1-S001")
    before = len(requests_seen(ready))

    again = upload_asset(model, kind(file), "demo:Image", Subject="1-S001")

    assert again == first
    assert {r["method"] for r in requests_seen(ready)[before:]} <= {"GET", "HEAD"}


def test_other_metadata_is_another_asset(api, model, images, file):
    one = upload_asset(model, file, images, Subject="1-S001", Acquisition_Date="2026-03-04")
    other = upload_asset(model, file, images, Subject="1-S001", Acquisition_Date="2026-03-05")

    assert one["RID"] != other["RID"]
    assert one["URL"] != other["URL"]
    assert len(rows_of(api, one)) == 2


def test_nothing_stays_behind(model, images, file, state):
    upload_asset(model, file, images, Subject="1-S001")

    assert [path for path in state.rglob("*") if path.is_file()] == []
    assert [path.name for path in file.parent.iterdir() if path != state] == [file.name]


def test_it_runs_in_another_thread(model, images, file):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(upload_asset(model, file, images, Subject="1-S001"))
    )
    thread.start()
    thread.join()

    assert found[0]["Filename"] == file.name


def test_a_file_in_an_execution_directory_is_a_file_like_others(model, images, file, tmp_path):
    folder = tmp_path / "deriva-ml/execution/4-A/asset/demo/Image"
    folder.mkdir(parents=True)
    moved = file.rename(folder / file.name)

    assert upload_asset(model, moved, images, Subject="1-S001")["Filename"] == file.name


def test_a_link_goes_by_its_own_name(model, images, file, tmp_path):
    link = tmp_path / "linked.png"
    link.symlink_to(file)

    row = upload_asset(model, link, images, Subject="1-S001")

    assert row["Filename"] == "linked.png"


def test_a_temporary_name_is_no_obstacle_when_it_is_named(model, tmp_path):
    file = tmp_path / "x.tmp"
    file.write_bytes(b"")

    assert upload_asset(model, file, ASSET.table)["Length"] == 0


def test_what_the_table_does_not_have_is_refused_with_both_sets(model, images, file):
    with pytest.raises(DerivaMLException) as refusal:
        upload_asset(model, file, images, Subject="1-S001", Subjekt="1-S001", MD5="0")

    assert str(refusal.value) == (
        "'MD5', 'Subject', 'Subjekt' does not fit demo:Image: its columns are "
        "'Acquisition_Date', 'Acquisition_Time', 'Description', 'Observation', 'RID', 'Subject'"
    )


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "column Subject must have a value"),
        ({"Subject": "1-S001", "Acquisition_Date": "yesterday"}, "'yesterday' is not a valid date"),
        ({"Subject": "1-NONE"}, "reports a conflict with existing data"),
    ],
)
def test_a_value_that_cannot_be_is_refused(model, images, file, values, why):
    with pytest.raises(DerivaMLException, match=why):
        upload_asset(model, file, images, **values)


def test_only_asset_tables_take_files(model, file):
    with pytest.raises(DerivaMLException, match="Subject is not an asset table"):
        upload_asset(model, file, model.name_to_table("Subject"))


def test_a_file_must_be_there(model, images, tmp_path):
    with pytest.raises(DerivaMLException, match="there is no such file"):
        upload_asset(model, tmp_path / "absent.png", images)
    with pytest.raises(DerivaMLException, match="there is no such file"):
        upload_asset(model, tmp_path, images)
