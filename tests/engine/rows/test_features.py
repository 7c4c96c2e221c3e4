"""Features whose values are files: records of deriva-ml, lines of a file, and these files."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.rig import Lab
from running import sandbox

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
BOXES = "demo:Execution_Image_BoundingBox"
VALUES = "feature/demo/Image/BoundingBox/BoundingBox.jsonl"
ASSETS = "feature/demo/Image/BoundingBox/asset/BoundingBox"


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A server with the schema of deriva-ml's own demonstration."""
    folder = tmp_path_factory.mktemp("features")
    files = SAMPLES / "schema.json", SAMPLES / "terms.json"
    with sandbox(folder / "data", *files, catalog="15") as ready:
        lab = Lab(folder, ready)
        names = {row["Name"] for row in lab.api.rows("deriva-ml:Feature_Name")}
        if "BoundingBox" not in names:
            term = {"Name": "BoundingBox", "Description": "Where.", "ID": "x:1", "URI": "/id/x"}
            lab.api.insert("deriva-ml:Feature_Name", term | {"Synonyms": []})
        yield ready


@pytest.fixture
def images(lab):
    """Return the RIDs of two images."""
    subject = lab.api.insert("demo:Subject", {"Name": lab.rid})[0]["RID"]
    row = {"Filename": "x", "Length": 1, "MD5": "0" * 32, "Subject": subject}
    rows = [row | {"URL": f"/hatrac/x:{lab.rid}{number}"} for number in range(2)]
    return [made["RID"] for made in lab.api.insert("demo:Image", *rows)]


def boxes(lab):
    """Return the feature's values of this execution: image → file name of its box."""
    names = {row["RID"]: row["Filename"] for row in lab.api.rows("demo:BoundingBox")}
    rows = [row for row in lab.api.rows(BOXES) if row["Execution"] == lab.rid]
    return {row["Image"]: names[row["BoundingBox"]] for row in rows}


def lines(*values):
    return "".join(f"{json.dumps(value)}\n" for value in values)


@pytest.mark.parametrize("said", ["{root}/{path}", "{path}", "{name}"])
def test_a_value_that_names_a_file_becomes_the_rid_of_its_row(lab, images, said):
    root = lab.folder / "data" / "deriva-ml" / "execution" / lab.rid
    paths = {image: f"{ASSETS}/{n} {lab.rid}.json" for n, image in enumerate(images)}
    values = [
        {"Image": image, "BoundingBox": said.format(root=root, path=p, name=Path(p).name)}
        for image, p in paths.items()
    ]

    record, _ = lab.upload({VALUES: lines(*values), **{p: p for p in paths.values()}})

    assert record.state == "uploaded", record.why
    assert boxes(lab) == {image: Path(path).name for image, path in paths.items()}
    links = lab.api.rows("demo:BoundingBox_Execution")
    assert sum(link["Execution"] == lab.rid for link in links) == 2


def test_a_file_that_is_gone_by_now_is_found_by_the_row_that_it_became(lab, images):
    path = f"{ASSETS}/early {lab.rid}.json"
    lab.upload({path: path})
    root = lab.folder / "data" / "deriva-ml" / "execution" / lab.rid
    (root / path).unlink()

    value = {"Image": images[0], "BoundingBox": Path(path).name}
    record, _ = lab.upload({VALUES: lines(value)})

    assert record.state == "uploaded", record.why
    assert boxes(lab) == {images[0]: Path(path).name}


def test_a_value_whose_file_is_not_there_is_refused_with_its_line(lab, images):
    good = f"{ASSETS}/good {lab.rid}.json"
    values = [
        {"Image": i, "BoundingBox": v} for i, v in zip(images, (good, "a/no.json"), strict=True)
    ]

    record, _ = lab.upload({VALUES: lines(*values), good: good})

    assert record.state == "refused"
    assert "line 2: column BoundingBox: no file 'a/no.json'" in lab.files()[VALUES].why
    assert boxes(lab) == {images[0]: Path(good).name}


def test_two_files_of_one_name_are_told_apart_by_the_path(lab, images):
    name = f"twin {lab.rid}.json"
    one, other = f"{ASSETS}/{name}", f"asset/demo/BoundingBox/{name}"
    by_path = {"Image": images[0], "BoundingBox": other}
    by_name = {"Image": images[1], "BoundingBox": name}

    record, _ = lab.upload({VALUES: lines(by_path, by_name), one: "one", other: "other"})

    assert record.state == "refused"
    said = lab.files()[VALUES].why
    assert "line 2" in said
    assert one in said
    assert other in said
    [row] = [row for row in lab.api.rows(BOXES) if row["Execution"] == lab.rid]
    assert row["BoundingBox"] == lab.files()[other].rid


def workspace(lab, *records):
    """Write deriva-ml's workspace, which lists the execution and has feature records."""
    host = lab.ready["host"].rpartition(":")[0]
    path = lab.folder / "data" / "catalogs" / f"{host}__15" / "working" / "main.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript((SAMPLES / "created" / "workspace.sql").read_text())
        database.execute("UPDATE execution_state__executions SET rid = ?", (lab.rid,))
        database.execute("DELETE FROM execution_state__assets")
        database.executemany(
            "INSERT INTO execution_state__feature_records (execution_rid, feature_table,"
            " feature_name, target_table, record_json, created_at, status) VALUES"
            " (?, 'demo.Execution_Image_BoundingBox', 'BoundingBox', 'Image', ?, '', ?)",
            [(lab.rid, json.dumps(values), status) for values, status in records],
        )
        database.commit()
    return path


def statuses(path):
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT status FROM execution_state__feature_records ORDER BY stage_id"
        )
        return [row[0] for row in rows]


@pytest.mark.parametrize("write_back", [False, True])
def test_the_records_of_the_workspace_arrive_once(lab, images, write_back):
    name = f"{lab.rid}.json"
    values = {"Feature_Name": "BoundingBox", "Execution": lab.rid, "RCT": None}
    asset = f"/elsewhere/{lab.rid}/assets/BoundingBox/{name}"
    path = workspace(
        lab,
        (values | {"Image": "GONE", "BoundingBox": "no/such.json"}, "uploaded"),
        (values | {"Image": images[0], "BoundingBox": asset}, "pending"),
    )
    for _ in range(2):
        lab.write({f"assets/BoundingBox/{name}": name})
        with lab.rigged(deriva_ml={"write_back": write_back}) as rig:
            record = rig.upload()
            assert record.state == "uploaded", record.why

    assert boxes(lab) == {images[0]: name}
    assert statuses(path) == ["uploaded", "uploaded" if write_back else "pending"]
    assert lab.files()["workspace://demo.Execution_Image_BoundingBox"].rows == 2
