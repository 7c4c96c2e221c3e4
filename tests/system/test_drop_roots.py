"""Drop folders as roots of the daemon: they come late, go away and come back; and its commands."""

import json

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

DROP = """
[[drop]]
path = "{path}"
table = "Execution_Asset"
pattern = '.+\\.bin'
unit = "{unit}"
quiet_s = 0.2
rescan_s = 1
"""


def problems(config):
    """Return what is in the way now."""
    return {each["what"]: each for each in summed_up(config)["problems"]}


def test_a_drop_folder_comes_late_goes_away_and_comes_back(tmp_path):
    batches, runs = tmp_path / "batches", tmp_path / "runs"
    runs.mkdir()
    (tmp_path / "deriva-ml/execution").mkdir(parents=True)
    with sandbox(tmp_path / "server") as ready:
        config = write_config(tmp_path / "daemon", ready, tmp_path)
        drops = DROP.format(path=batches, unit="none") + DROP.format(path=runs, unit="directory")
        config.write_text(config.read_text() + drops)
        with daemon(config) as running:
            running.wait_for(lambda event: event["event"] == "root.missing")
            write_files(runs, {"run 1/a.bin": "a", "loose.bin": "loose", "run 1/odd.txt": "?"})
            running.wait_for_state("run 1", "uploaded")
            loose = wait_until(lambda: problems(config).get(f"1 name in {runs} is not uploaded"))
            assert loose["why"] == "loose.bin: it is not a directory"
            assert f"cannot watch {batches}" in problems(config)

            write_files(batches, {"b.bin": "b"})
            batch = running.wait_for(
                lambda event: event["event"] == "execution.uploaded" and "batch-" in str(event)
            )
            batches.rename(tmp_path / "away")
            wait_until(lambda: f"cannot watch {batches}" in problems(config))
            (tmp_path / "away").rename(batches)
            write_files(batches, {"c.bin": "c"})
            running.wait_for(lambda event: event.get("path") == "c.bin", after=1)
            (runs / "loose.bin").unlink()
            wait_until(lambda: problems(config) == {})

            told = command(config, "show", batch["execution"], "--json")
            before = len(running.events())
            again = command(config, "retry", "run 1")
            running.wait_for_state("run 1", "uploaded", after=before)
            running.stop()

        assert {row["Filename"] for row in Api(ready).rows("deriva-ml:Execution_Asset")} == {
            "a.bin",
            "b.bin",
            "c.bin",
        }
    [unit] = json.loads(told.stdout)["executions"]
    assert (unit["unit"], unit["state"], unit["execution_rid"]) == ("none", "uploaded", None)
    assert again.returncode == 0
    assert detailed(config, "run 1")["unit"] == "directory"
