"""Hostile and careless JSON in execution directories: refused by name, and nobody else waits."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from running import Api, command, daemon, detailed, sandbox, write_config, write_files

DEEP = "[" * 100_000
TREE = "asset/deriva-ml/Execution_Asset"
TYPES = "asset-type/deriva-ml/Execution_Asset.jsonl"
COLUMNS = "asset/demo/Image/.columns.json"
MANIFEST = "asset-manifest.json"
SUBJECT = "table/demo/Subject/Subject.json"

# For each execution: its files, which of them is refused, and with which words.
REFUSED = {
    "deep manifest": ({MANIFEST: DEEP}, MANIFEST, "nested too deeply"),
    "sparse manifest": ({MANIFEST: 8 << 30}, MANIFEST, "larger than 64 MiB together"),
    "empty blocks": ({MANIFEST: 4096}, MANIFEST, "it has a NUL byte at byte 0"),
    "sparse types": ({TYPES: 8 << 30}, TYPES, "larger than 64 MiB together"),
    "types said twice": ({TYPES: '{"n": ["Image"], "n": []}'}, TYPES, "names 'n' twice"),
    "deep columns": ({COLUMNS: DEEP}, COLUMNS, "nested too deeply"),
    "deep rows": ({SUBJECT: DEEP}, SUBJECT, "nested too deeply"),
    "sparse rows": ({SUBJECT: 8 << 30}, SUBJECT, "larger than 64 MiB, the most for one"),
    "a name twice in a row": (
        {SUBJECT: '[{"Name": "one", "Name": "two"}]'},
        SUBJECT,
        "[0] names 'Name' twice",
    ),
    "not a number": ({SUBJECT: '[{"Name": NaN}]'}, SUBJECT, "[0].Name is NaN"),
    "a file twice": (
        {
            MANIFEST: '{"assets": {"Image/x.png": {"metadata": {"Subject": "1-S001"}},'
            ' "Image/x.png": {"metadata": {"Subject": "1-S002"}}}}',
            "assets/Image/x.png": "x",
        },
        "assets/Image/x.png",
        "the manifest's entry 'Image/x.png' cannot be used: it occurs twice",
    ),
    "a column twice": (
        {
            MANIFEST: '{"assets": {"Image/x.png": '
            '{"metadata": {"Subject": "1-S001", "Subject": "1-S002"}}}}',
            "assets/Image/x.png": "x",
        },
        "assets/Image/x.png",
        "metadata names 'Subject' twice",
    ),
}


def write(root: Path, name, content):
    """Write a file; a number makes a sparse one of that size."""
    if isinstance(content, str):
        write_files(root, {name: content})
        return
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        os.truncate(file.fileno(), content)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a daemon says of all of them, and of one whose types name no file."""
    base = tmp_path_factory.mktemp("json")
    prefix = base / "data"
    with sandbox(base / "server") as ready:
        api = Api(ready)
        config = write_config(base / "daemon", ready, prefix)
        rids = {name: api.execution() for name in (*REFUSED, "stray types")}
        for name, (files, _, _) in REFUSED.items():
            root = prefix / "deriva-ml/execution" / rids[name]
            for path, content in {**files, f"{TREE}/n": f"good {name}"}.items():
                write(root, path, content)
        stray = prefix / "deriva-ml/execution" / rids["stray types"]
        write_files(stray, {f"{TREE}/real.pt": "t", TYPES: '{"reel.pt": ["Model_File"]}'})
        with daemon(config) as running:
            for name in REFUSED:
                running.wait_for_state(rids[name], "refused", 60)
            running.wait_for_state(rids["stray types"], "uploaded")
            status = Path(f"/proc/{running.pid}/status").read_text()
            events = running.events()
        rows = {row["RID"]: row for row in api.rows("deriva-ml:Execution_Asset")}
        links = api.rows("deriva-ml:Execution_Asset_Execution")
        yield SimpleNamespace(
            shown={name: detailed(config, rid) for name, rid in rids.items()},
            plan=command(config, "plan", stray).stdout,
            show=command(config, "show", rids["stray types"]).stdout,
            peak_mib=int(re.search(r"VmHWM:\s*(\d+)", status)[1]) >> 10,
            crashes=[event for event in events if "crashed" in event["event"]],
            linked={link["Execution"]: rows[link["Execution_Asset"]]["Filename"] for link in links},
            rids=rids,
            images=api.rows("demo:Image"),
            subjects=[row["Name"] for row in api.rows("demo:Subject")],
        )


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name_and_the_file_beside_it_is_uploaded(told, name):
    _, path, why = REFUSED[name]
    files = {file["path"]: file for file in told.shown[name]["files"]}

    assert files[path]["state"] == "refused"
    assert why in files[path]["why"]
    assert files[path]["next"]
    assert told.linked[told.rids[name]] == "n"


def test_nothing_crashes_and_memory_stays_small(told):
    assert told.crashes == []
    assert told.peak_mib < 400


def test_nothing_of_what_is_said_twice_gets_into_the_catalog(told):
    assert told.images == []
    assert {"one", "two"}.isdisjoint(told.subjects)


def test_types_of_no_file_are_told_by_show_plan_and_receipt(told):
    about = "no file gets the types that it gives to 'reel.pt'"

    assert about in " ".join(told.plan.split())
    assert about in " ".join(told.show.split())
    assert about in told.shown["stray types"]["notices"][TYPES]
