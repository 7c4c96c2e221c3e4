"""Executions that deriva-ml itself wrote reach the end state of its own upload, and no other.

Whole tables and all object versions are compared before and after. Where ours differs from
deriva-ml on purpose stands here, literally.
"""

import hashlib
import json
from base64 import b64decode
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from running import Api, daemon, sandbox, write_config
from system.difference import SYSTEM_COLUMNS, moved, new_rows
from system.sample import CATALOG, FOLDER, Sample, workspace_says

CASES = ["plain", "images", "names", "created", "startstop"]
LEASES = "public:ERMrest_RID_Lease"

# deriva-ml's pattern for file names passes these by, and its clean-up then deletes them.
DROPPED = {
    "names": {  # name → content type
        "with space.txt": "text/plain",
        "archive.tar.gz": "application/x-tar+gzip",
        "v1.2.3-model.bin": "application/octet-stream",
        "noextension": "application/octet-stream",
        "paren(1).txt": "text/plain",
        "plus+amp&.txt": "text/plain",
        "percent%41.txt": "text/plain",
        ".hidden": "application/octet-stream",
    }
}
# The workspace says so; deriva-ml uploads what was said before.
RETYPED = {"images": {"Image/later.png": "Thumb Nail"}}
# Nobody gave it a description; deriva-ml has a text of its own for every file of this name.
UNDESCRIBED = {"plain": ["Execution_Metadata/uv.lock"]}


@dataclass(frozen=True)
class Picture:
    """All that an upload can change: on the server, and on the disk."""

    rows: dict
    versions: dict
    heads: dict
    files: dict
    workspace: tuple

    @classmethod
    def take(cls, api, root, host):
        """Look at everything."""
        versions = api.versions()
        heads = {name: api.head(name) for name in versions}
        return cls(api.tables(), versions, heads, contents(root), workspace_says(root, host))


def contents(root):
    """Return what each name below *root* is: where a link leads, or the digest of a file.

    The workspace is not among them: reading a database in WAL mode moves its bytes.
    """
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if not path.is_dir() and "catalogs" not in path.parts
    }


def upload(sample, folder, *, who="owner", write_back=False):
    """Drop a sample under a running daemon; return the pictures before and after."""
    rows, live, made = folder / "rows.json", folder / "live", folder / "made"
    rows.write_text(json.dumps(sample.rows(f"sandbox-{who}")))
    with sandbox(folder / "server", FOLDER / "schema.json", rows, CATALOG) as ready:
        api, host = Api(ready), ready["host"]
        sample.make(made, host)
        before = Picture.take(api, made, host)
        (live / sample.directory).parent.mkdir(parents=True)
        config = write_config(
            folder / "daemon",
            ready,
            live / "data",
            who=who,
            files={"allowed_link_roots": [live / "src"]},
            deriva_ml={"write_back": write_back},
        )
        with daemon(config) as running:
            for path in ("src", "data/catalogs", sample.directory):
                if (made / path).exists():
                    (made / path).rename(live / path)
            running.wait_for_state(sample.rid, "uploaded")
            assert running.stop() == 143
        return before, Picture.take(api, live, host)


# ---------------------------------------------------------------------- what became of rows


def asset_rids(rows):
    """Return the RIDs of asset rows by "Table/file"."""
    return {
        f"{table.partition(':')[2]}/{row['Filename']}": row["RID"]
        for table in rows
        for row in rows[table]
        if "MD5" in row
    }


def comparable(rows):
    """Return rows without what only the server decides; assets are named by their files."""
    name_of = {rid: name for name, rid in asset_rids(rows).items()}

    def told(row):
        row = {name: row[name] for name in row if name not in SYSTEM_COLUMNS | {"RID"}}
        if "URL" in row:
            row["URL"] = row["URL"].rpartition(":")[0]  # without the version
        return {name: name_of.get(value, value) for name, value in row.items()}

    return {table: in_order(map(told, rows[table])) for table in rows}


def in_order(rows):
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


# ---------------------------------------------------------------------- what is expected


def expected_rows(sample):
    """Return the rows of deriva-ml's upload, with what ours does otherwise."""
    rows = comparable(sample.expected["inserted"])
    for name in DROPPED.get(sample.name, ()):
        content, asset = sample.content(name), f"Execution_Asset/{name}"
        md5 = hashlib.md5(content).hexdigest()
        url = f"/hatrac/Execution_Asset/{md5}.{quote(name, safe='')}"
        row = {"URL": url, "Filename": name, "Description": None}
        rows["deriva-ml:Execution_Asset"].append(row | {"Length": len(content), "MD5": md5})
        rows["deriva-ml:Execution_Asset_Execution"].append(
            {"Execution_Asset": asset, "Execution": sample.rid, "Asset_Role": "Output"}
        )
        rows["deriva-ml:Execution_Asset_Asset_Type"].append(
            {"Execution_Asset": asset, "Asset_Type": "Prediction"}
        )
    for name, kind in RETYPED.get(sample.name, {}).items():
        (row,) = (row for row in rows["demo:Image_Asset_Type"] if row["Image"] == name)
        row["Asset_Type"] = kind
    for name in UNDESCRIBED.get(sample.name, ()):
        table, _, file = name.partition("/")
        (row,) = (row for row in rows[f"deriva-ml:{table}"] if row["Filename"] == file)
        row["Description"] = None
    return {table: in_order(rows[table]) for table in rows}


def expected_objects(sample):
    """Return the objects of deriva-ml's upload, and of the files that it drops."""
    found = {each["name"]: each for each in sample.expected["objects"]}
    for name, content_type in DROPPED.get(sample.name, {}).items():
        content = sample.content(name)
        md5 = hashlib.md5(content).hexdigest()
        plain_name = "".join(c if c.isalnum() or c in "_.-" else "_" for c in name)
        url = f"/hatrac/Execution_Asset/{md5}.{quote(name, safe='')}"
        found[url] = {
            "name": url,
            "length": len(content),
            "md5": md5,
            "sha256": hashlib.sha256(content).hexdigest(),
            "content_type": content_type,
            "content_disposition": f"filename*=UTF-8''{plain_name}",
        }
    return found


def objects(picture):
    """Return the objects of a picture as `expected_objects` does."""
    return {
        name: {
            "name": name,
            "length": int(head.get("Content-Length", -1)),  # the server leaves a zero out
            "md5": b64decode(head["Content-MD5"]).hex(),
            "sha256": b64decode(head["Content-SHA256"]).hex(),
            "content_type": head["Content-Type"],
            "content_disposition": head["Content-Disposition"],
        }
        for name, head in picture.heads.items()
    }


def assert_arrived(sample, before, after):
    """What deriva-ml's own upload makes is there, and nothing else."""
    rows = new_rows(before.rows, after.rows)
    assert comparable(rows) == expected_rows(sample)
    assert objects(after) == expected_objects(sample)
    urls = [[row["URL"]] for table in rows for row in rows[table] if "URL" in row]
    assert sorted(after.versions.values()) == sorted(urls)
    receipt = str(sample.directory / "deriva-watch-receipt.json")
    assert after.files == before.files | {receipt: after.files[receipt]}


# ---------------------------------------------------------------------- the tests


@pytest.mark.parametrize("name", CASES)
def test_a_tree_of_deriva_ml_arrives_whole(tmp_path, name):
    """Its own upload has not begun, so RIDs are the server's; nobody wants to be told."""
    sample = Sample(name, staged=False)

    before, after = upload(sample, tmp_path)

    assert_arrived(sample, before, after)
    assert moved(before.rows, after.rows) == {}
    assert after.workspace == before.workspace


@pytest.mark.parametrize("name", CASES)
def test_a_staged_tree_of_deriva_ml_gets_its_leased_rids(tmp_path, name):
    """With write_back the catalog and the workspace say what deriva-ml would have said."""
    sample = Sample(name, staged=True)
    old, new = sample.expected["status"]

    before, after = upload(sample, tmp_path, write_back=True)

    assert_arrived(sample, before, after)
    leased = {key: rid for key, (_, rid) in sample.expected["workspace"].items()}
    assert asset_rids(new_rows(before.rows, after.rows)).items() <= leased.items()
    status = {("deriva-ml:Execution", sample.rid): {"Status": (old, new)}}
    assert moved(before.rows, after.rows) == (status if old != new else {})
    assert after.workspace == ({key: ("uploaded", leased[key]) for key in leased}, (new, 0))


@pytest.mark.parametrize("name", ["plain", "images"])
def test_a_writer_claims_the_rids_that_it_has_leased(tmp_path, name):
    """The leases are used up; without write_back the statuses stay what they are."""
    sample = Sample(name, staged=True)

    before, after = upload(sample, tmp_path, who="writer")

    assert_arrived(sample, before, after)
    leased = {key: rid for key, (_, rid) in sample.expected["workspace"].items()}
    assert asset_rids(new_rows(before.rows, after.rows)).items() <= leased.items()
    assert {table for table, _ in moved(before.rows, after.rows)} == {LEASES}
    assert after.rows[LEASES] == {}
    assert after.workspace == before.workspace
