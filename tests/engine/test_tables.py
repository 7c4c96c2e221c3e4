"""Files of rows: what is in the table afterwards, whatever happened to the file before."""

import pytest

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
