"""What is advised about a folder that is missing."""

import tempfile
from pathlib import Path

import pytest

from deriva_watch.edges.watching.missing import advice, why_missing
from strangers import as_stranger, only_root


@pytest.fixture
def fstab(tmp_path):
    return tmp_path / "fstab"


def test_a_share_that_is_not_mounted_is_to_be_mounted(tmp_path, fstab):
    point = tmp_path / "share"
    point.mkdir()
    fstab.write_text(f"# shares\nnas:/data {point} nfs defaults 0 0\n")

    told = advice(point / "lab/deriva-ml/execution", point / "lab", fstab)

    assert told.startswith(f"Mount the share: mount {point}.")
    assert "mkdir" not in told


def test_an_empty_folder_may_be_where_a_share_is_mounted(tmp_path, fstab):
    (tmp_path / "mnt").mkdir()

    for prefix in (tmp_path / "mnt", tmp_path / "mnt/lab"):
        told = advice(prefix / "deriva-ml/execution", prefix, fstab)

        assert "mount" in told.lower()
        assert "mkdir" not in told


def test_a_prefix_that_exists_is_not_to_be_made(tmp_path, fstab):
    (tmp_path / "data/other").mkdir(parents=True)

    told = advice(tmp_path / "data/deriva-ml/execution", tmp_path / "data", fstab)

    assert told == "It is watched as soon as a program creates it; or correct the path."


def test_a_file_in_its_place_is_said_to_be_one(tmp_path, fstab):
    (tmp_path / "data").touch()

    told = advice(tmp_path / "data/deriva-ml/execution", tmp_path / "data", fstab)

    assert told == f"{tmp_path}/data is not a folder; correct the path in the settings."


def test_a_folder_that_nothing_else_can_be_about_is_to_be_made(tmp_path, fstab):
    (tmp_path / "other").touch()

    told = advice(tmp_path / "a b/x", tmp_path / "a b", fstab)

    assert told == f"It is watched as soon as it exists: mkdir -p '{tmp_path}/a b/x'"


@only_root
def test_a_folder_that_may_not_be_entered_is_not_said_to_be_missing(fstab):
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        (home / "lab/deriva-ml/execution").mkdir(parents=True)
        home.parent.chmod(0o755)
        home.chmod(0o700)

        why, then = as_stranger(
            lambda: why_missing(home / "lab/deriva-ml/execution", home / "lab", fstab)
        )
        assert why == f"{home}/lab cannot be looked at: Permission denied"
        assert then.endswith(f" enter {home}. It is watched as soon as it can.")
        why, then = why_missing(home / "data/x", home / "data", fstab)
        assert why == f"there is no {home}/data/x"
        assert "mkdir" in then
