"""Several users share a prefix: what one of them does must not reach what belongs to others."""

import json
import os
from pathlib import Path

import pytest

from running import Api, daemon, sandbox, write_config, write_files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")

ALICE, BOB = 20_001, 20_002
RECEIPT = "deriva-watch-receipt.json"
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
