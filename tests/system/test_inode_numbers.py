"""File systems whose inode numbers do not stay: FUSE, SMB shares without `serverino`, FAT."""

import json

import pytest

from deriva_watch.edges.watching import mounts
from deriva_watch.edges.watching.mounts import Mount
from fuse import is_possible, mounted
from running import Api, command, daemon, sandbox, write_config, write_files

FILES = {
    "asset/deriva-ml/Execution_Asset/one.bin": "one",
    "asset/deriva-ml/Execution_Asset/two.bin": "of the same size".ljust(20),
    "asset/deriva-ml/Execution_Asset/three.bin": "of the same length".ljust(20),
}

pytestmark = pytest.mark.skipif(not is_possible(), reason="needs root and /dev/fuse")


def taken(running):
    """Return the names of the units that were taken for complete."""
    return [each["execution"] for each in running.events() if each["event"] == "execution.ready"]


@pytest.mark.parametrize(("mode", "stay"), [("look", False), ("mount", True)])
def test_two_looks_find_out_where_the_type_says_nothing(tmp_path, monkeypatch, mode, stay):
    monkeypatch.setattr(mounts, "mount", lambda _: Mount("unheard-of"))
    disk, shown = tmp_path / "disk", tmp_path / "mounted"
    disk.mkdir()

    with mounted(disk, shown, mode):
        assert mounts.inodes_stay(str(shown)) is stay


@pytest.mark.parametrize("mode", ["look", "mount"])
def test_numbers_that_change_neither_hold_an_upload_nor_repeat_one(tmp_path, mode):
    disk, prefix = tmp_path / "disk", tmp_path / "mounted"
    disk.mkdir()
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        one, other = api.execution(), api.execution()
        waits = {"quiet_s": 0.5, "quiet_max_s": 2}
        config = write_config(tmp_path / "settings", ready, prefix, completion=waits)
        with mounted(disk, prefix, mode):
            root = write_files(prefix / "deriva-ml/execution" / one, FILES)
            with daemon(config) as running:
                running.wait_for_state(one, "uploaded")
                told = [each for each in running.events() if each["event"] == "root.watched"]
                assert len(told) == 1
                checked = command(config, "check", "--json")
            assert (root / "deriva-watch-receipt.json").exists()

        with mounted(disk, prefix, mode):
            write_files(prefix / "deriva-ml/execution" / other, FILES)
            with daemon(config) as running:  # looks at everything once before the other is done
                running.wait_for_state(other, "uploaded")
                assert taken(running) == [other]
            gone = command(config, "reclaim", "--older-than", "0", "--yes", "--json", one)
            assert gone.returncode == 0, gone.stdout
            assert not any((root / path).exists() for path in FILES)

    lines = json.loads(checked.stdout)["checks"]
    (root_line,) = (line for line in lines if line["about"].startswith("root "))
    assert root_line["facts"]["inode_numbers_stay"] is False
