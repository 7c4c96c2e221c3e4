"""What is said of one folder or one file is said of that alone."""

import os
import signal

import requests

from running import (
    Api,
    command,
    daemon,
    detailed,
    sandbox,
    summed_up,
    wait_until,
    write_config,
    write_files,
)

ASSETS = "asset/deriva-ml/Execution_Asset"
DROP = """
[[drop]]
path = "{path}"
table = "Execution_Asset"
pattern = '.+\\.raw'
unit = "directory"
quiet_s = 0.2
rescan_s = 1
"""


def test_what_is_beside_the_units_is_told_until_it_is_moved_or_ignored_and_no_outage(tmp_path):
    share, prefix = tmp_path / "share", tmp_path / "data"
    executions = prefix / "deriva-ml/execution"
    executions.mkdir(parents=True)
    (executions / os.fsdecode(b"M\xfcller_test")).mkdir()
    write_files(share, {"SampleSheet.csv": "loose", "run1/a.raw": "raw"})
    write_files(prefix / "deriva-ml", {"execution/stray.txt": "stray", "results/b.txt": "b"})
    (executions / "dangling").symlink_to("1-GONE")
    with sandbox(tmp_path / "server") as ready:
        rid = Api(ready).execution()
        listen = {"listen": "127.0.0.1:0"}
        config = write_config(tmp_path / "daemon", ready, prefix, status=listen)
        config.write_text(config.read_text() + DROP.format(path=share))
        with daemon(config, through=("env",)) as running:
            url = running.wait_for(lambda event: event["event"] == "status.listening")["url"]
            write_files(executions / rid, {f"{ASSETS}/a.txt": "a"})
            running.wait_for_state(rid, "uploaded")
            running.wait_for_state("run1", "uploaded")
            found = wait_until(
                lambda: (now := summed_up(config)) and len(now["problems"]) == 3 and now
            )
            health = requests.get(f"{url}healthz", timeout=60)
            text = command(config, "status").stdout
            (executions / "stray.txt").rename(executions / rid / ASSETS / "stray.txt")
            (share / "SampleSheet.csv").rename(share / "run1/SampleSheet.raw")
            config.write_text(f'{config.read_text()}\n[files]\nignore = ["results", "dangling"]\n')
            os.kill(running.pid, signal.SIGHUP)
            left = wait_until(
                lambda: (now := summed_up(config)["problems"]) and len(now) == 1 and now
            )
            told = [e for e in running.events() if e["event"] == "problem.found"]

    assert {each["scope"] for each in found["problems"]} == {"folder"}
    assert found["verdict"]["level"] == "person"
    assert "3 problems of folders need attention" in text.splitlines()[0]
    assert f"3 names in {prefix} are not uploaded" in text
    assert f"1 name in {share} is not uploaded" in text
    assert "ller_test" in left[0]["what"]
    assert [e["what"] for e in told if "names in" in e["what"]] == [
        f"3 names in {prefix} are not uploaded"
    ]
    assert "the daemon cannot work" not in text
    assert "SampleSheet.csv" in text
    assert "ller_test" in text
    assert health.status_code == 200
    assert health.json() == {"healthy": True, "reasons": [], "problems": found["problems"]}


def test_a_link_to_what_is_there_already_is_no_reason_to_refuse(tmp_path):
    executions = tmp_path / "deriva-ml/execution"
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        rid = api.execution()
        config = write_config(tmp_path / "daemon", ready, tmp_path)
        with daemon(config) as running:
            (executions / rid / ASSETS).mkdir(parents=True)
            (executions / rid / "latest").symlink_to(ASSETS)
            (executions / "latest-run").symlink_to(rid)
            write_files(executions / rid, {f"{ASSETS}/a.txt": "a"})
            running.wait_for_state(rid, "uploaded")
            found, told = summed_up(config), detailed(config, rid)

    assert {state: n for state, n in found["executions"].items() if n} == {"uploaded": 1}
    assert {state: n for state, n in found["files"].items() if n} == {"linked": 1}
    assert "another name" in told["notices"]["latest"]
    assert found["healthy"]


def test_a_file_that_became_a_link_to_an_archive_is_still_in_the_catalog(tmp_path):
    root = tmp_path / "data/deriva-ml/execution"
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        rid = api.execution()
        config = write_config(tmp_path / "daemon", ready, tmp_path / "data")
        with daemon(config) as running:
            write_files(root / rid, {f"{ASSETS}/a.txt": "a", f"{ASSETS}/b.txt": "b"})
            running.wait_for_state(rid, "uploaded")
            before = len(running.events())
            (tmp_path / "archive.txt").write_text("a")
            (root / rid / ASSETS / "a.txt").unlink()
            (root / rid / ASSETS / "a.txt").symlink_to(tmp_path / "archive.txt")
            running.wait_for_state(rid, "uploaded", after=before)
            found, told = summed_up(config), detailed(config, rid)

    assert {state: n for state, n in found["files"].items() if n} == {"linked": 2}
    assert found["verdict"]["level"] == "safe"
    assert "it is in the catalog" in told["notices"][f"{ASSETS}/a.txt"]
