"""What is uploaded and comes again under another name, or before another journal, is the same."""

import json
from unicodedata import normalize

from running import Api, daemon, sandbox, wait_until, write_config, write_files

DROPS = """
[[drop]]
path = "{root}/runs"
table = "Execution_Asset"
pattern = '.+'
unit = "directory"
workflow = "1-W001"
quiet_s = 0.2
rescan_s = 1

[[drop]]
path = "{root}/scans"
table = "Image"
pattern = '(?P<who>[^/]+)/[^/]+[.]dcm'
lookup.Subject = {{ table = "Subject", column = "Name", value = "{{who}}" }}
workflow = "1-W001"
quiet_s = 0.2
batch_s = 0.2
"""
NFC, NFD = (normalize(form, "José") for form in ("NFC", "NFD"))
RECEIPT = "deriva-watch-receipt.json"


def is_uploaded(tmp_path, run):
    receipt = tmp_path / "runs" / run / RECEIPT
    return receipt.exists() and json.loads(receipt.read_text())["unit"] == run


def test_a_copied_tree_a_renamed_run_and_a_lost_journal_make_nothing_new(tmp_path):
    """As from macOS, the names on the disk are decomposed; all others are composed."""
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        subject, rid = api.insert("demo:Subject", {"Name": NFC})[0]["RID"], api.execution()
        entry = {"metadata": {"Subject": subject}}
        execution = {
            f"assets/Image/{NFD}.png": "a",
            "asset-manifest.json": json.dumps({"assets": {f"Image/{NFC}.png": entry}}),
            "feature/demo/Image/Quality/Quality.jsonl": json.dumps(
                {"Image": f"{NFC}.png", "Image_Quality": "Good"}
            ),
        }
        write_files(tmp_path / "deriva-ml/execution" / rid, execution)
        write_files(tmp_path / "scans", {f"{NFD}/a.dcm": "scan"})
        write_files(tmp_path / "runs", {"A_run/a.raw": "run"})
        config = write_config(tmp_path / "daemon", ready, tmp_path)
        config.write_text(config.read_text() + DROPS.format(root=tmp_path))
        with daemon(config) as running:
            running.wait_for_state(rid, "uploaded")
            running.wait_for_state("A_run", "uploaded")
            wait_until(lambda: len(api.rows("demo:Image_Execution")) == 2)
            running.wait_for(
                lambda e: e["event"] == "execution.uploaded" and e["execution"].startswith("batch-")
            )
            before = api.tables()
            (tmp_path / "runs/A_run").rename(tmp_path / "runs/B_run")
            wait_until(lambda: is_uploaded(tmp_path, "B_run"))
            running.stop()
        (tmp_path / "daemon/state/journal.db").write_bytes(b"this is no database")
        with daemon(config) as running:
            for unit in (rid, "B_run"):
                running.wait_for_state(unit, "uploaded")
            running.wait_for(
                lambda e: e["event"] == "execution.uploaded" and e["execution"].startswith("batch-")
            )

        images = api.rows("demo:Image")
        assert {image["Subject"] for image in images} == {subject}
        assert {row["Name"] for row in api.rows("demo:Subject")} & {NFC, NFD} == {NFC}
        assert len(api.rows("demo:Execution_Image_Quality")) == 1
        assert {name: rows.keys() for name, rows in api.tables().items()} == {
            name: rows.keys() for name, rows in before.items()
        }
