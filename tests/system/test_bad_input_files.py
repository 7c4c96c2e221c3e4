"""Bad files in execution directories: each has its sentence, and its neighbours go in.

One daemon sees all of them at once; then each cause is mended, as its sentence says, and the rest
goes in too.
"""

import json
import os
from types import SimpleNamespace

import pytest

from oddities import (
    ASSETS,
    LATIN,
    NAMES,
    ODD_ENTRIES,
    ODD_FILES,
    TYPES,
    make_broken_manifest,
    make_odd_entries,
    make_odd_files,
    make_strays,
    mend_broken_manifest,
    mend_odd_entries,
    mend_odd_files,
    mend_strays,
)
from running import (
    Api,
    command,
    daemon,
    detailed,
    sandbox,
    shown,
    summed_up,
    write_config,
    write_files,
)

OPTIONAL = "defaults=ID,URI,RID,RCT,RMT,RCB,RMB"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What was said of four bad directories, and what was in the catalog: before and after."""
    base = tmp_path_factory.mktemp("files")
    prefix = base / "data"
    with sandbox(base / "server") as ready:
        api = Api(ready)
        makers = [
            (lambda root: make_odd_files(root, base / "outside.txt"), mend_odd_files),
            (make_odd_entries, mend_odd_entries),
            (make_broken_manifest, mend_broken_manifest),
            (make_strays, mend_strays),
        ]
        rids = [api.execution() for _ in makers]
        roots = [prefix / "deriva-ml/execution" / rid for rid in rids]
        for root, (make, _) in zip(roots, makers, strict=True):
            make(root)
        config = write_config(base / "settings", ready, prefix)
        with daemon(config) as running:
            for rid in rids:
                running.wait_for_state(rid, "refused")
            before = look(api, config, rids)
            before.with_device = (roots[0] / ASSETS / "device").exists()
            before.printed = shown(config, rids[0]), command(config, "status", "--json")
            before.receipts = [root / "deriva-watch-receipt.json" for root in roots]
            before.receipts = [r.read_bytes() for r in before.receipts if r.exists()]
            number = len(running.events())
            for root, (_, mend) in zip(roots, makers, strict=True):
                mend(root)
            for rid in rids:
                running.wait_for_state(rid, "uploaded", after=number)
            events = running.events()
        after = look(api, config, rids)
    return SimpleNamespace(rids=rids, events=events, before=before, after=after)


def look(api, config, rids):
    """Return what `show` and `status` say, and the contents that the catalog has by execution."""
    linked = {rid: {} for rid in rids}
    for name in ("deriva-ml:Execution_Asset", "demo:Image"):
        rows = {row["RID"]: row for row in api.rows(name)}
        table = name.partition(":")[2]
        for link in api.rows(f"{name}_Execution"):
            row = rows[link[table]]
            linked[link["Execution"]][row["Filename"]] = api.content(row["URL"])
    shows = {rid: detailed(config, rid) for rid in rids}
    statuses = {rid: api.status(rid) for rid in rids}
    return SimpleNamespace(shown=shows, status=summed_up(config), linked=linked, statuses=statuses)


def files(show):
    return {file["path"]: file for file in show["files"]}


def in_show(path):
    return path.encode(errors="backslashreplace").decode()


def in_log(path):
    return os.fsencode(path).decode(errors="backslashreplace")


CASES = [*((0, *case) for case in ODD_FILES.items()), *((1, *case) for case in ODD_ENTRIES.items())]


@pytest.mark.parametrize(("number", "path", "why"), CASES, ids=[repr(path) for _, path, _ in CASES])
def test_a_bad_file_has_its_sentence_in_show_and_log(told, number, path, why):
    rid = told.rids[number]
    if path.endswith("device") and not told.before.with_device:
        pytest.skip("this user may not make devices")

    file = files(told.before.shown[rid])[in_show(path)]
    event = next(
        event
        for event in told.events
        if event["event"] == "file.refused"
        and (event["execution"], event["path"]) == (rid, in_log(path))
    )

    assert file["state"] == "refused"
    assert why in file["why"]
    assert all(file[part] for part in ("what", "why", "next"))
    assert "retry RID" not in file["next"]
    assert event["level"] == "error"
    assert (event["why"], event["next"]) == (file["why"], file["next"])


def test_an_execution_with_bad_files_is_refused_with_their_number_and_the_first(told):
    for number in (0, 1):
        rid = told.rids[number]
        refused = [f for f in told.before.shown[rid]["files"] if f["state"] == "refused"]
        (entry,) = [e for e in told.before.status["refused"] if e["rid"] == rid]
        event = next(
            e for e in told.events if (e["event"], e.get("execution")) == ("execution.refused", rid)
        )

        assert entry["what"].startswith(f"{len(refused)} of ")
        assert refused[0]["why"] in entry["why"]
        assert f"`deriva-watch show {rid}` lists them all." in entry["next"]
        assert (event["what"], event["why"]) == (entry["what"], entry["why"])


def test_status_and_show_print_the_sentences(told):
    show, status = told.before.printed

    assert show == told.before.shown[told.rids[0]]
    assert json.loads(status.stdout)["refused"] == told.before.status["refused"]


def test_the_good_neighbours_of_bad_files_are_in(told):
    images = {"good.png": b"content of assets/Image/good.png"}

    assert told.before.linked[told.rids[0]].items() >= {"good.txt": b"good"}.items()
    assert told.before.linked[told.rids[1]] == images
    assert told.before.linked[told.rids[2]] == {"good.txt": b"good"}
    assert told.before.linked[told.rids[3]] == {}


@pytest.mark.parametrize("number", range(len(NAMES)), ids=map(repr, NAMES))
def test_any_name_in_utf_8_goes_in_unchanged(told, number):
    linked = told.before.linked[told.rids[0]]

    assert linked[NAMES[number]] == f"content {number}".encode()


def test_an_empty_file_is_a_file(told):
    assert told.before.linked[told.rids[0]]["empty.txt"] == b""


def test_a_broken_manifest_is_named_and_holds_up_only_what_needs_it(told):
    show = told.before.shown[told.rids[2]]

    file = files(show)["assets/Image/a.png"]

    assert file["state"] == "refused"
    assert file["why"].startswith("asset-manifest.json is not valid JSON: ")
    assert "manifest" in file["next"]
    assert files(show)["asset-manifest.json"]["why"] == file["why"]


def test_where_nothing_matches_the_execution_is_refused(told):
    rid = told.rids[3]
    (entry,) = [e for e in told.before.status["refused"] if e["rid"] == rid]

    assert entry["what"] == f"nothing of execution {rid} is uploaded"
    assert entry["why"] == "0 of 2 files matched a mapping of the bulk spec"
    assert f"`deriva-watch show {rid}`" in entry["next"]
    assert {f["state"] for f in told.before.shown[rid]["files"]} == {"unmatched"}


def test_a_receipt_is_json_whatever_the_names_are(told):
    receipts = [json.loads(receipt) for receipt in told.before.receipts]

    assert [receipt["execution"] for receipt in receipts] == told.rids[:3]
    assert f"{ASSETS}/{LATIN}" in {left["path"] for left in receipts[0]["left"]}


def test_once_the_causes_are_mended_the_rest_goes_in_by_itself(told):
    odd, entries, manifest, strays = (told.after.linked[rid] for rid in told.rids)

    mended = ["pipe", "socket", "device", "loop", "dangling", "outside", "café.txt", "odd-type.txt"]
    assert {name: odd.get(name) for name in mended} == {
        name: f"mended {name}".encode() for name in mended
    }
    assert odd.keys() == {*NAMES, *mended, "good.txt", "empty.txt"}
    assert entries["missing.png"] == b"late"
    images = [path for path in ODD_ENTRIES if "/Image/" in path]
    assert entries.keys() == {"good.png", *(path.rpartition("/")[2] for path in images)}
    assert manifest == {"good.txt": b"good", "a.png": b"a"}
    assert strays == {"good.txt": b"good"}
    assert told.after.status["refused"] == []


def test_the_catalog_calls_an_execution_uploaded_once_nothing_of_it_is_refused(told):
    assert set(told.before.statuses.values()) == {"Stopped"}
    assert set(told.after.statuses.values()) == {"Uploaded"}


def test_nothing_was_sent_twice_or_lost_on_the_way(told):
    """A file has one row, however often its directory was tried."""
    assert not [event for event in told.events if event["event"] == "daemon.crashed"]
    for rid in told.rids:
        again = [
            file["path"]
            for file in told.after.shown[rid]["files"]
            if file["state"] not in {"linked", "unmatched", "gone"}
        ]
        assert again == []


def test_a_cause_that_is_mended_in_the_catalog_is_tried_again_with_retry(tmp_path):
    """Nothing changes in the directory, so a person must say when."""
    stranger = f"asset/demo/Image/{'__NULL__/' * 3}9-9999/stranger.png"
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        rid = api.execution()
        write_files(
            tmp_path / "deriva-ml/execution" / rid,
            {f"{ASSETS}/new.txt": "new", TYPES: '{"new.txt": ["Novelty"]}', stranger: "stranger"},
        )
        config = write_config(tmp_path / "settings", ready, tmp_path)
        with daemon(config) as running:
            running.wait_for_state(rid, "refused")
            before = look(api, config, [rid])
            term = {"Name": "Novelty", "Description": "New.", "Synonyms": []}
            api.call("POST", f"{api.catalog}/entity/deriva-ml:Asset_Type?{OPTIONAL}", json=[term])
            subject = [{"RID": "9-9999", "Name": "stranger"}]
            api.call("POST", f"{api.catalog}/entity/demo:Subject?nondefaults=RID", json=subject)
            assert command(config, "retry", rid).returncode == 0
            running.wait_for_state(rid, "uploaded")
        types = api.rows("deriva-ml:Execution_Asset_Asset_Type")
        after = look(api, config, [rid])

    assert {file["state"] for file in before.shown[rid]["files"]} == {"refused"}
    assert before.linked[rid] == {}
    assert after.linked[rid] == {"new.txt": b"new", "stranger.png": b"stranger"}
    assert [row["Asset_Type"] for row in types] == ["Novelty"]


def test_an_upload_in_which_nothing_matches_says_so_by_its_exit_status(tmp_path):
    with sandbox(tmp_path / "server") as ready:
        rid = Api(ready).execution()
        root = tmp_path / "deriva-ml/execution" / rid
        make_strays(root)
        config = write_config(tmp_path / "settings", ready, tmp_path)

        answers = [command(config, "upload", root, "--json") for _ in range(2)]

    assert [answer.returncode for answer in answers] == [4, 4]
    for answer in answers:
        (execution,) = json.loads(answer.stdout)["executions"]
        assert execution["state"] == "refused"
        assert execution["why"] == "0 of 2 files matched a mapping of the bulk spec"
        assert json.loads(answer.stdout)["files"] == {"unmatched": 2}
