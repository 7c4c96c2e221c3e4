"""Every further execution that deriva-ml itself wrote ends as by its own upload, or better.

What ours brings in beyond that stands here, literally: files that deriva-ml left without links,
dropped, or never looked at. Whole tables and all objects are compared, each case on a fresh server.
"""

import hashlib
import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest

from deriva_watch.commands.targets import units_at
from deriva_watch.commands.upload import uploading
from deriva_watch.settings import model
from running import Api, sandbox, write_config
from system.difference import moved, new_rows
from system.sample import CATALOG, Sample
from system.test_samples import (
    DROPPED,
    LEASES,
    Picture,
    asset_rids,
    comparable,
    expected_objects,
    expected_rows,
    in_order,
    objects,
)


@dataclass(frozen=True)
class Asset:
    """An asset that deriva-ml did not bring in whole; with *values* it had not even a row."""

    name: str  # "<Table>/<file>"
    types: tuple = ()
    values: dict | None = None


@dataclass(frozen=True)
class Better:
    """What ours does that deriva-ml did not, and the only files that are refused."""

    assets: tuple = ()
    rows: dict = field(default_factory=dict)
    refused: dict = field(default_factory=dict)  # path → words of the reason


def image(name, *types, subject, when=None, day=None, **more):
    """Return an Image that had no row."""
    values = {"Acquisition_Time": when, "Acquisition_Date": day, "Subject": subject}
    return Asset(f"Image/{name}", types or ("Image",), values | more)


def output(name, *types):
    """Return an Execution_Asset that had no row."""
    return Asset(f"Execution_Asset/{name}", types, {})


def subjects(*names):
    """Return rows of a table that lies outside of the execution."""
    return {"demo:Subject": [{"Name": name} for name in names]}


BADMETA = Better(
    assets=(
        Asset("Image/ok.png", ("Image",)),
        image("plus.png", subject="4T6", when="2026-03-04T05:06:07", Observation=None),
        image("none.png", subject="4T6", Observation=None),
    ),
    refused={"assets/Image/empty.png": "Key (Observation)=() is not present"},
)
FEATURES = Better(
    rows={
        **subjects('features-s9-A Ünïcode, "quoted" 2', "features-s9-A new subject 1"),
        "demo:Observation": [
            {"Observation_Date": "2026-02-02", "Subject": "4T6"},
            {"Observation_Date": None, "Subject": "4T8"},
        ],
    }
)
BETTER = {
    "badmeta": BADMETA,
    "missing": Better(
        assets=(output("good.txt", "Prediction"),),
        refused={"assets/Image/nosubject.png": "column Subject must have a value"},
    ),
    "builders": Better(
        assets=(
            Asset("BoundingBox/s_box.json", ("BoundingBox",)),
            Asset("Image/s_img.png", ("Image",)),
            Asset("Execution_Asset/s_plain.bin", ("Model_File",)),
            output("b_model.bin", "Model_File"),
            output("flat_unregistered.txt"),
            image(
                *("b_full.png", "Image", "Thumb Nail"),
                subject="4T6",
                when="2026-03-04T05:06:07",
                day="2026-03-04",
                Observation="4TE",
            ),
            image("b_null.png", subject="4T8", Observation=None),
        ),
        rows=subjects("builders-s9-A table outside execution"),
    ),
    "features": FEATURES,
    "1.17.10/builders": Better(
        assets=(
            Asset("Image/b_full.png", ("Image", "Thumb Nail")),
            Asset("Execution_Asset/b_model.bin", ("Model_File",)),
        ),
        rows={
            **subjects("builders-s9-B table outside execution"),
            "demo:Execution_Subject_Quality": [
                {
                    "Execution": "4J8",
                    "Subject": "470",
                    "Feature_Name": "Quality",
                    "Quality_Term": "Bad",
                    "Scale": 7,
                }
            ],
        },
    ),
    "1.17.10/features": Better(
        rows={
            **subjects('features-s9-B Ünïcode, "quoted" 2', "features-s9-B new subject 1"),
            "demo:Image": [  # what the user wrote into the CSV file of this table
                {
                    "URL": "",
                    "Filename": None,
                    "Description": None,
                    "Length": 1,
                    "MD5": "0" * 32,
                    "Acquisition_Time": None,
                    "Acquisition_Date": None,
                    "Subject": "46W",
                }
            ],
        }
    ),
    "1.17.10/images-null": Better(
        assets=(
            Asset("Image/full.png", ("Image",)),
            image("only_subject.png", subject="46Y"),
        )
    ),
    "1.17.10/relative-link": Better(
        assets=(Asset("Execution_Asset/a.txt", ("Prediction",)),),
        refused={
            "asset/deriva-ml/Execution_Asset/relative.txt": "it is a link that cannot be followed"
        },
    ),
    "1.24.0/names": Better(
        assets=tuple(output(name, "Prediction") for name in DROPPED["names"]),
    ),
}
CASES = [
    *("badmeta", "builders", "failrun", "features", "missing"),
    *(f"1.17.10/{name}" for name in ("builders", "created", "failrun", "features", "images")),
    *(f"1.17.10/{name}" for name in ("images-null", "plain", "plain-clean", "relative-link")),
    *(f"1.24.0/{name}" for name in ("failrun", "images", "names", "plain", "plain-clean")),
]
STAGED = ["badmeta", "failrun", "features"]


@dataclass(frozen=True)
class Ending:
    """What an upload left."""

    root: object
    before: Picture
    after: Picture
    states: dict  # of the directories that were brought in
    refused: dict  # path → why
    notices: dict


def upload(sample, folder, **sections):
    """Bring a sample in once, alone on a fresh server."""
    rows, root = folder / "rows.json", folder / "live"
    rows.write_text(json.dumps(sample.rows("sandbox-owner")))
    schema, events = sample.version / "schema.json", []
    with sandbox(folder / "server", schema, rows, CATALOG) as ready:
        api, host = Api(ready), ready["host"]
        sample.make(root, host)
        sample.store(api, root)
        before = Picture.take(api, root, host)
        files, prefix = {"allowed_link_roots": [root / "src"]}, root / sample.prefix
        config = write_config(folder / "daemon", ready, prefix, files=files, **sections)
        stop, seen = threading.Event(), lambda *_: None
        loaded = model.load(config)
        with uploading(loaded, events.append, stop, seen) as one_shot:
            brought = [one_shot.upload(unit).record for unit in units_at([prefix], loaded)]
        refused = {e.path: e.why for e in events if e.name == "file.refused"}
        notices = {e.about: e.why for e in events if e.name == "notice.added"}
        states = {record.rid: record.state.value for record in brought}
        return Ending(root, before, Picture.take(api, root, host), states, refused, notices)


def beyond(asset, sample, root):
    """Return the rows of an asset that deriva-ml left out, and its object where it has none."""
    table, _, name = asset.name.partition("/")
    schema = "demo" if table in {"Image", "BoundingBox"} else "deriva-ml"
    rows = defaultdict(list)
    link = {table: asset.name, "Execution": sample.rid, "Asset_Role": "Output"}
    rows[f"{schema}:{table}_Execution"].append(link)
    for kind in asset.types:
        rows[f"{schema}:{table}_Asset_Type"].append({table: asset.name, "Asset_Type": kind})
    if asset.values is None:
        return rows, None
    (path,) = {p.resolve() for p in (root / sample.directory).rglob("*") if p.name == name}
    content = path.read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    url = f"/hatrac/{table}/{md5}.{quote(name, safe='')}"
    row = {"URL": url, "Filename": name, "Description": None, "Length": len(content), "MD5": md5}
    rows[f"{schema}:{table}"].append(row | asset.values)
    return rows, (url, md5, hashlib.sha256(content).hexdigest())


def assert_as_good_or_better(sample, ended):
    """All that deriva-ml's upload got right is there, what it left out, and nothing else."""
    better = BETTER.get(sample.name, Better())
    rows, more = defaultdict(list, expected_rows(sample)), {}
    for asset in better.assets:
        added, stored = beyond(asset, sample, ended.root)
        for table, new in added.items():
            rows[table] += new
        more |= {stored[0]: stored[1:]} if stored else {}
    for table, new in better.rows.items():
        rows[table] += new
    arrived = new_rows(ended.before.rows, ended.after.rows)
    arrived.pop(LEASES, None)  # of table rows: their tables have no key of their own
    assert comparable(arrived) == {table: in_order(each) for table, each in rows.items()}

    theirs = expected_objects(sample)
    found = {n: o for n, o in objects(ended.after).items() if n not in ended.before.heads}
    assert {n: o for n, o in found.items() if n in theirs} == theirs
    unexpected = {n: (o["md5"], o["sha256"]) for n, o in found.items() if n not in theirs}
    refused = tuple(f".{path.rpartition('/')[2]}" for path in better.refused)
    # Stored before the server refused its row: a later `retry` needs it.
    assert {n: o for n, o in unexpected.items() if not n.endswith(refused)} == more

    assert ended.refused.keys() == better.refused.keys()
    for path, words in better.refused.items():
        assert words in ended.refused[path]
    assert ended.states[sample.rid] == ("refused" if better.refused else "uploaded")
    written = {n for n in ended.after.files if ended.after.files[n] != ended.before.files.get(n)}
    ours = ("deriva-watch-receipt.json", "deriva-watch-rows.jsonl")
    assert all(name.endswith(ours) for name in written)
    assert ended.before.files.keys() <= ended.after.files.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_case_ends_as_good_as_by_deriva_ml_or_better(tmp_path, name):
    """Nothing else changes: not a status, not a text, not the workspace."""
    sample = Sample(name)

    ended = upload(sample, tmp_path)

    assert_as_good_or_better(sample, ended)
    assert {state for rid, state in ended.states.items() if rid != sample.rid} <= {"uploaded"}
    assert moved(ended.before.rows, ended.after.rows) == {}
    assert ended.after.workspace == ended.before.workspace


@pytest.mark.parametrize("name", STAGED)
def test_a_staged_case_gets_its_leased_rids(tmp_path, name):
    """With write_back the workspace says of whatever arrived that it did."""
    sample = Sample(name, staged=True)

    ended = upload(sample, tmp_path, deriva_ml={"write_back": True})

    assert_as_good_or_better(sample, ended)
    leased = {key: rid for key, (_, rid) in sample.expected["workspace"].items()}
    arrived = asset_rids(new_rows(ended.before.rows, ended.after.rows))
    assert arrived.items() <= leased.items()
    pending = {path.partition("/")[2] for path in ended.refused}
    assets, _ = ended.after.workspace
    assert assets == {
        key: ("pending" if key in pending else "uploaded", rid) for key, rid in leased.items()
    }


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("1.17.10/images", "Subject/Acquisition_Time/Acquisition_Date (5)"),
        ("builders", "Observation/Subject/Acquisition_Time/Acquisition_Date (1)"),
    ],
)
def test_an_order_that_had_to_be_found_out_is_told(tmp_path, name, order):
    """The files whose directories stand in order are not among them."""
    ended = upload(Sample(name), tmp_path)

    assert order in ended.notices["asset/demo/Image"]
