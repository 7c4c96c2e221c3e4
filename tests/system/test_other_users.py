"""Several users share a prefix: what one of them does must not reach what belongs to others."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deriva_watch.core.completeness.observation import RECEIPT_NAME as RECEIPT
from running import Api, daemon, sandbox, write_config, write_files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")

ALICE, BOB, NOBODY = 20_001, 20_002, 65534
ASSETS = "asset/deriva-ml/Execution_Asset"
STALL_S = 3


@pytest.fixture
def shared(tmp_path):
    """A prefix in which everybody may make and rename folders."""
    prefix = tmp_path / "data"
    (prefix / "deriva-ml/execution").mkdir(parents=True)
    (prefix / "deriva-ml/execution").chmod(0o777)
    return prefix


def own(path, user):
    """Give a file, link or folder, with everything in it, to a user."""
    for each in (path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())):
        os.chown(each, user, user, follow_symlinks=False)


@pytest.mark.parametrize("place", ["home", "orders"])
def test_a_directory_swapped_for_a_link_gets_no_receipt(tmp_path, shared, place):
    """Once his files are recorded, its owner swaps it for a link: to a home, or to our orders."""
    faults = tmp_path / "faults.json"
    stall = {"action": "stall", "stall_s": STALL_S, "method": "POST", "times": 1}
    faults.write_text(json.dumps([{**stall, "route": "Execution_Asset_Execution"}]))
    homes = {"home": shared / "home", "orders": tmp_path / "settings/state/orders"}
    with sandbox(tmp_path / "server", faults=faults) as ready:
        rid, home = Api(ready).execution(), homes[place]
        config = write_config(tmp_path / "settings", ready, shared)
        root = write_files(shared / "deriva-ml/execution" / rid, {f"{ASSETS}/b.txt": "b"})
        own(root, BOB)
        if place == "home":
            own(write_files(home, {RECEIPT: "of its owner"}), ALICE)
        with daemon(config) as running:
            running.wait_for(lambda event: event["event"] == "file.recorded")
            link = root.with_name(".link")
            link.symlink_to(home)
            own(link, BOB)
            root.rename(root.with_name(".aside"))
            link.rename(root)
            told = running.wait_for(lambda event: event["event"] == "receipt.written")
            names = {event["event"] for event in running.events()}

        assert Path(told["path"]).exists()
        assert [path.read_text() for path in home.iterdir()] == ["of its owner"] * (place == "home")
        assert not [name for name in names if name.startswith("order")]


def write_workspace(prefix, name, executions, assets=()):
    """Write a workspace of deriva-ml for Bob, with statuses by RID, and what it says of assets."""
    path = prefix / "catalogs" / name / "working/main.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE execution_state__executions(rid, status)")
        columns = "execution_rid, key, description, status, rid, asset_table, schema, asset_types"
        database.execute(f"CREATE TABLE execution_state__assets({columns}, metadata)")
        rows = "INSERT INTO execution_state__executions VALUES (?, ?)"
        database.executemany(rows, executions.items())
        rows = "INSERT INTO execution_state__assets VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)"
        named = "Execution_Asset", "deriva-ml", '["Model_File"]'
        database.executemany(rows, [(*each, *named) for each in assets])
        database.commit()
    own(path.parents[1], BOB)


FLAT = "assets/Execution_Asset/f.bin"
KEY = "Execution_Asset/f.bin"


def described(api):
    """Return the description and the type that the catalog has of each execution's asset."""
    asset = "deriva-ml:Execution_Asset"
    text_of = {row["RID"]: row["Description"] for row in api.rows(asset)}
    type_of = {row["Execution_Asset"]: row["Asset_Type"] for row in api.rows(f"{asset}_Asset_Type")}
    linked = {row["Execution"]: row["Execution_Asset"] for row in api.rows(f"{asset}_Execution")}
    return {rid: (text_of[to], type_of.get(to)) for rid, to in linked.items()}


ENTRY = {"asset_table": "Execution_Asset", "schema": "deriva-ml", "description": "forged"}
SAID = {
    "asset-manifest.json": json.dumps({"version": 1, "assets": {KEY: ENTRY, "Image/gone": {}}}),
    "asset-type/deriva-ml/Execution_Asset.jsonl": '{"f.bin": ["Model_File"]}\n',
    "asset-type/deriva-ml/Execution_Metadata.jsonl": "no JSON",
    ".complete": "",
    ".deriva-watch-ignore": "*",
    RECEIPT: "{}",
}


def forge(root):
    """Let Bob say in a directory of Alice whatever one can say there."""
    write_files(root, SAID)
    (root / "dangling").symlink_to("nowhere")
    for name in (*SAID, "dangling"):
        own(root / name, BOB)


def spoil(prefix, name, make):
    """Let nobody have a workspace that hinders whoever reads it."""
    path = prefix / "catalogs" / name / "working/main.db"
    path.parent.mkdir(parents=True)
    make(path)
    own(path.parents[1], NOBODY)


def test_what_bob_says_counts_for_his_executions_alone(tmp_path, shared):
    """His workspaces refused, held and described hers; one that hangs or is damaged held all."""
    with sandbox(tmp_path / "server") as ready:
        api, ours = Api(ready), f"{ready['host'].partition(':')[0]}__{ready['catalog']}"
        hers = held, elsewhere, aborted, forged = [api.execution() for _ in range(4)]
        his = api.execution()
        write_workspace(shared, "evil.example.org__9", {elsewhere: "Running"})
        statuses = {held: "Running", aborted: "Aborted", his: "Stopped"}
        assets = [
            (held, KEY, "forged", "uploaded", "1-ABCD"),
            (aborted, KEY, "forged", "pending", None),
            (his, KEY, "his own", "pending", None),
        ]
        write_workspace(shared, ours, statuses, assets)
        spoil(shared, "damaged__1", lambda path: path.write_bytes(b"no database" * 1000))
        spoil(shared, "hanging__1", os.mkfifo)
        spoil(shared, os.fsdecode(b"~\x1b[2J\xff__1"), Path.touch)
        for rid in (*hers, his):
            root = write_files(shared / "deriva-ml/execution" / rid, {FLAT: f"of {rid}"})
            own(root, BOB if rid == his else ALICE)
        forge(root.with_name(forged))
        config = write_config(tmp_path / "settings", ready, shared)
        with daemon(config) as running:
            for rid in (*hers, his):
                running.wait_for_state(rid, "uploaded")
        said = described(api)
    told = {rid: json.loads((root.with_name(rid) / RECEIPT).read_text()) for rid in (*hers, his)}

    assert said == dict.fromkeys(hers, (None, None)) | {his: ("his own", "Model_File")}
    not_his = f"user {BOB} owns it, and user {ALICE} the folder that it is about"
    for rid in hers:
        why = told[rid]["notices"]["deriva-ml's workspaces"]
        assert f"catalogs/{ours}/working/main.db" in why
    ignored = {path for path, why in told[forged]["notices"].items() if not_his in why}
    assert ignored == {*SAID, "dangling", "deriva-ml's workspaces"} - {RECEIPT}
    assert "user 65534" in told[his]["notices"]["deriva-ml's workspaces"]
