"""Files of rows: what is in the table afterwards, whatever happened to the file before."""

import json

import pytest

from deriva_watch.core.errors import RefusedError
from deriva_watch.engine.rows import tables
from engine.rig import instead

SUBJECTS = "table/demo/Subject/Subject.csv"  # rows have a key, Name
VISITS = "table/demo/Observation/Observation.csv"  # rows have none
VISIT = "demo:Observation"


def names(lab, word):
    """Return the names of the subjects that contain *word*."""
    return sorted(row["Name"] for row in lab.api.rows("demo:Subject") if word in row["Name"])


def visits(lab):
    """Return the dates of observations of the subject that belongs to this test alone."""
    return sorted(row["Observation_Date"] for row in mine(lab))


def mine(lab):
    return [row for row in lab.api.rows(VISIT) if row["Subject"] == lab.subject]


@pytest.fixture
def lab(lab):
    """An execution, and a subject of its own."""
    lab.subject = lab.api.insert("demo:Subject", {"Name": f"of {lab.rid}"})[0]["RID"]
    return lab


def dated(lab, *dates):
    """Return observations as CSV."""
    return "Subject,Observation_Date\n" + "".join(f"{lab.subject},{date}\n" for date in dates)


def test_rows_with_a_key_and_rows_without_arrive_once(lab, fresh):
    word = fresh()
    files = {
        SUBJECTS: f'Name\n{word} plain\n"{word} ""quoted"", Ünï"\n',
        VISITS: dated(lab, "2026-02-02", "2026-02-03"),
    }
    for _ in range(2):
        record, _ = lab.upload(files)
        assert record.state == "uploaded", record.why

    assert names(lab, word) == [f'{word} "quoted", Ünï', f"{word} plain"]
    assert visits(lab) == ["2026-02-02", "2026-02-03"]
    assert [file.rows for file in lab.files().values()] == [2, 2]
    assert {*lab.states().values()} == {"linked"}


def why(lab, path):
    """Return why a file is refused."""
    file = lab.files()[path]
    assert file.state == "refused"
    assert file.next
    return file.why


def test_rows_that_are_appended_are_sent_and_no_other(lab):
    lab.upload({VISITS: dated(lab, "2026-02-02")})
    record, rig = lab.upload({VISITS: dated(lab, "2026-02-02", "2026-02-03")})

    assert record.state == "uploaded", record.why
    assert visits(lab) == ["2026-02-02", "2026-02-03"]
    assert sum(len(call.arguments[1]) for call in rig.power.calls("catalog.insert")) == 1


def test_lines_that_name_ever_new_columns_are_refused(lab):
    path = "feature/demo/Image/Quality/Quality.jsonl"

    record, _ = lab.upload({path: "".join(f'{{"{number}": 1}}\n' for number in range(2000))})

    assert record.state == "refused"
    assert why(lab, path).startswith("line 1601: it has 1,601 columns, and no table has more than")


@pytest.mark.parametrize(
    ("dates", "place"),
    [
        (["2026-02-09", "2026-02-03"], "line 2"),
        (["2026-02-02", "2026-02-04"], "line 3"),
        (["2026-02-03"], "line 2"),
        (["2026-02-02"], "the end of the file"),
    ],
)
def test_a_row_that_is_in_and_not_there_as_it_was_refuses_the_file(lab, dates, place):
    lab.upload({VISITS: dated(lab, "2026-02-02", "2026-02-03")})

    record, _ = lab.upload({VISITS: dated(lab, *dates)})

    assert record.state == "refused"
    assert why(lab, VISITS).startswith(place)
    assert visits(lab) == ["2026-02-02", "2026-02-03"]


@pytest.mark.parametrize("mended", [["2026-03-03"], []], ids=["mended", "taken out"])
def test_what_stands_before_a_bad_value_stays_and_the_rest_follows_once_it_is_mended(lab, mended):
    before, after = ["2026-03-01", "2026-03-02"], ["2026-03-04"]
    record, _ = lab.upload({VISITS: dated(lab, *before, "the 3rd", *after, "nor this")})

    assert record.state == "refused"
    said = why(lab, VISITS)
    assert "line 4: 'the 3rd' is not a valid date for column Observation_Date" in said
    assert "2 rows in all" in said
    assert visits(lab) == before

    record, _ = lab.upload({VISITS: dated(lab, *before, *mended, *after)})

    assert record.state == "uploaded", record.why
    assert visits(lab) == sorted([*before, *mended, *after])


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "taken out"])
def test_a_row_that_the_server_refuses_takes_no_neighbour_along(lab, mended):
    good = dated(lab, "2026-03-01", "2026-03-02")
    bad, last = "NO-SUCH,2026-03-03\n", f"{lab.subject},2026-03-04\n"
    record, _ = lab.upload({VISITS: good + bad + last})

    assert record.state == "refused"
    assert why(lab, VISITS).startswith("line 4: ")
    assert "NO-SUCH" in why(lab, VISITS)
    assert visits(lab) == ["2026-03-01", "2026-03-02", "2026-03-04"]

    bad = f"{lab.subject},2026-03-03\n" if mended else ""
    record, rig = lab.upload({VISITS: good + bad + last})

    assert record.state == "uploaded", record.why
    days = ["01", "02", "03", "04"] if mended else ["01", "02", "04"]
    assert visits(lab) == [f"2026-03-{day}" for day in days]
    assert sum(len(c.arguments[1]) for c in rig.power.calls("catalog.insert")) == int(mended)


def test_after_a_row_that_the_server_refuses_only_what_is_on_its_way_is_sent(lab, monkeypatch):
    monkeypatch.setattr(tables, "BATCH_ROWS", 1)
    days = [f"2026-03-{day:02}" for day in range(1, 21)]
    good = dated(lab, *days)
    record, _ = lab.upload({VISITS: good.replace("\n", "\nNO-SUCH,2026-02-01\n", 1)})

    assert record.state == "refused"
    assert why(lab, VISITS).startswith("line 2: ")
    assert visits(lab) == days[: len(visits(lab))]
    assert len(visits(lab)) <= 2


def test_unknown_columns_refuse_the_file_before_anything_is_sent(lab):
    record, rig = lab.upload({VISITS: f"Subject,Day\n{lab.subject},2026-02-02\n"})

    assert record.state == "refused"
    assert "demo:Observation has no column 'Day'" in why(lab, VISITS)
    assert "Observation_Date" in lab.files()[VISITS].next
    assert not rig.power.calls("catalog.insert")


def test_columns_that_the_server_fills_are_left_to_it_and_said(lab):
    record, rig = lab.upload(
        {VISITS: f"RID,Subject,Observation_Date\nX,{lab.subject},2026-02-02\n"}
    )

    assert record.state == "uploaded", record.why
    assert [row["RID"] for row in mine(lab)] != ["X"]
    assert any("RID" in event.why for event in rig.told("notice.added"))


@pytest.mark.parametrize("content", ["", "Subject,Observation_Date\n"], ids=["empty", "header"])
def test_a_file_without_rows_is_fine(lab, content):
    record, _ = lab.upload({VISITS: content})

    assert record.state == "uploaded", record.why
    assert lab.files()[VISITS].rows == 0


def test_an_empty_field_is_null_and_a_column_that_must_have_a_value_is_named(lab):
    record, _ = lab.upload({VISITS: f"Subject,Observation_Date\n{lab.subject},\n,2026-02-02\n"})

    assert record.state == "refused"
    assert why(lab, VISITS) == "line 3: column Subject must have a value"
    assert [row["Observation_Date"] for row in mine(lab)] == [None]


def test_equal_rows_of_one_key_are_one_row(lab, fresh):
    word = fresh()
    record, _ = lab.upload({SUBJECTS: f"Name\n{word}\n{word}\n"})

    assert record.state == "uploaded", record.why
    assert names(lab, word) == [word]


def features(*rows):
    """Return values of the feature Quality of images as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


QUALITY = "feature/demo/Image/Quality/Quality.jsonl"


@pytest.fixture
def picture(lab):
    """Return the RID of an image."""
    row = {"URL": f"/hatrac/x:{lab.rid}", "Filename": "x", "Length": 1, "MD5": "0" * 32}
    return lab.api.insert("demo:Image", row | {"Subject": lab.subject})[0]["RID"]


def test_a_feature_value_gets_the_execution_and_the_name_that_it_lacks(lab, picture):
    record, _ = lab.upload({QUALITY: features({"Image": picture, "Image_Quality": "Good"})})

    assert record.state == "uploaded", record.why
    [row] = [r for r in lab.api.rows("demo:Execution_Image_Quality") if r["Image"] == picture]
    assert (row["Execution"], row["Feature_Name"]) == (lab.rid, "Quality")


@pytest.mark.parametrize("split", [False, True], ids=["one request", "two requests"])
def test_two_rows_with_one_key_that_say_otherwise_are_both_named(lab, picture, split, monkeypatch):
    if split:
        monkeypatch.setattr(tables, "BATCH_ROWS", 1)
    values = [{"Image": picture, "Image_Quality": word} for word in ("Good", "Bad")]

    record, _ = lab.upload({QUALITY: features(*values)})

    assert record.state == "refused"
    assert "line 1" in why(lab, QUALITY)
    assert "line 2" in why(lab, QUALITY)
    [row] = [r for r in lab.api.rows("demo:Execution_Image_Quality") if r["Image"] == picture]
    assert row["Image_Quality"] == "Good"


def test_a_row_that_the_catalog_has_otherwise_is_refused_with_both_values(lab, picture):
    key = {"Image": picture, "Execution": lab.rid, "Feature_Name": "Quality"}
    lab.api.insert("demo:Execution_Image_Quality", key | {"Image_Quality": "Bad"})

    record, _ = lab.upload({QUALITY: features({"Image": picture, "Image_Quality": "Good"})})

    assert record.state == "refused"
    assert "'Bad'" in why(lab, QUALITY)
    assert "'Good'" in why(lab, QUALITY)


def test_a_feature_that_no_table_holds_is_refused_by_name(lab, picture):
    path = QUALITY.replace("Quality", "Colour")
    record, _ = lab.upload({path: features({"Image": picture})})

    assert record.state == "refused"
    assert "'Colour'" in why(lab, path)


def test_tables_that_others_refer_to_go_first(lab, fresh):
    """Observation stands before Subject by name."""
    word = fresh()
    _, rig = lab.upload({SUBJECTS: f"Name\n{word}\n", VISITS: dated(lab, "2026-02-02")})

    tables_sent = [str(call.arguments[0]) for call in rig.power.calls("catalog.insert")]
    assert tables_sent == ["demo:Subject", "demo:Observation"]


def test_a_large_file_goes_in_batches_and_tells_how_far_it_is(lab):
    """Ten thousand rows; `make bench` has 200,000 of them."""
    content = dated(lab, *["2026-02-02"] * 10_000)
    record, rig = lab.upload({VISITS: content})

    assert record.state == "uploaded", record.why
    assert len(mine(lab)) == 10_000
    sizes = [len(call.arguments[1]) for call in rig.power.calls("catalog.insert")]
    assert (len(sizes), max(sizes)) == (10, 1000)
    sent = [count for path, phase, count in rig.moved if (path, phase) == (VISITS, "send")]
    assert sum(sent) == len(content)
    assert len(sent) == 10


def test_a_table_that_we_may_not_write_to_is_asked_once(lab):
    """Not once for each row."""
    with lab.rigged("writer") as rig:
        no = RefusedError("cannot insert", "you may not (403)", "Ask for the right.", 403)
        rig.catalog.then["insert"] = [instead(no)] * 100
        lab.write({VISITS: dated(lab, *["2026-02-02"] * 64)})
        assert rig.upload().state == "refused"

    assert rig.power.names.count("catalog.insert") == 1
    assert "you may not" in why(lab, VISITS)
