"""What judges the kills sees what must not be: each thing is done on purpose here."""

import hashlib
import json
from dataclasses import replace

import pytest

from kill import oracle
from kill.memory import Memory
from kill.scene import ASSET, IMAGE, REMARKS, SUBJECT, VISIT, Scene
from running import requests_seen


@pytest.fixture(scope="module")
def scene(tmp_path_factory, ready, starter):
    """An execution that is uploaded; nothing of its journal changes here."""
    made = Scene(tmp_path_factory.mktemp("oracle"), ready, "owner")
    starter.live(made, None)
    assert oracle.wrong(made) == []
    return made


def test_the_oracle_sees_each_thing_that_is_lost_or_doubled(scene):
    api, said = scene.api, []
    big = next(asset for asset in scene.assets.values() if asset.name == "big.bin")
    row = next(row for row in api.rows(ASSET) if row["MD5"] == big.md5)

    def see(change, table):
        change()
        found = oracle.wrong(scene)
        assert any(line.startswith(table) for line in set(found) - set(said)), found
        said[:] = found

    visit = {"Subject": scene.subjects[0], "Observation_Date": "2026-02-01"}
    see(lambda: api.insert(VISIT, visit), f"{VISIT} has also")
    see(
        lambda: delete(api, "demo:Image_Execution", Execution=scene.rid), "demo:Image_Execution lac"
    )
    see(lambda: delete(api, REMARKS, Execution=scene.rid, Text="one"), f"{REMARKS} lacks")
    see(lambda: api.call("PUT", api.url + big.object, data=b"other"), f"{big.object} has the vers")
    moved = {"RID": row["RID"], "Description": "mine"}
    url = f"{api.catalog}/attributegroup/{ASSET}/RID;Description"
    see(lambda: api.call("PUT", url, json=[moved]), f"{ASSET} has also")
    stray = f"{api.url}/hatrac/Image/{scene.rid}"
    see(lambda: api.call("PUT", stray, data=b"stray"), f"/hatrac/Image/{scene.rid} is no file")
    see(lambda: receipt_without_md5(scene), "the receipts are")


def delete(api, table, **values):
    filters = "/".join(f"{name}={value}" for name, value in values.items())
    api.call("DELETE", f"{api.catalog}/entity/{table}/{filters}")


def receipt_without_md5(scene):
    path = scene.root / "deriva-watch-receipt.json"
    receipt = json.loads(path.read_text())
    receipt["files"][0]["md5"] = hashlib.md5(b"").hexdigest()
    path.write_text(json.dumps(receipt))


def test_what_the_journal_has_as_done_is_a_repetition(scene):
    """Once it is uploaded, every write that was needed for it would be one."""
    memory = replace(Memory.of(scene), is_over=False)

    found = memory.repeated(requests_seen(scene.ready))

    assert f"PUT {next(iter(scene.assets.values())).object}" in found
    for table in (IMAGE, f"{IMAGE}_Execution", SUBJECT):
        assert any(line.startswith(f"POST /ermrest/catalog/1/entity/{table}?") for line in found)
