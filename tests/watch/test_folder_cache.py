"""What a rescan spares: finished directories whose folders are what they were."""

import os
from dataclasses import replace
from datetime import timedelta

import pytest

from deriva_watch.core.layout import ROOT
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.disk.scanning.scanner import scan
from deriva_watch.edges.watching import mounts
from deriva_watch.watch.folder_cache import FolderCache

FULL_S = 3600


class Finished:
    """A directory that is finished, looked at in full now and then, and a clock."""

    def __init__(self, prefix):
        self.prefix, self.root = prefix, prefix / ROOT / "execution" / "1-ABC"
        self.now_s = 0.0
        self.cache = FolderCache(lambda: self.now_s)
        (self.root / "assets/Image").mkdir(parents=True)
        (self.root / "assets/Image/a.bin").write_text("a")

    def look(self, after_s=0.0, *, clock_s=0.0):
        """Look in full, *after_s* after the last time, by a clock that goes wrong by *clock_s*."""
        self.now_s += after_s
        seen = scan(self.root, ScanPolicy(self.prefix, ignore=("*.tmp",)))
        seen = replace(seen, looked_at=seen.looked_at + timedelta(seconds=clock_s))
        self.cache.keep("1-ABC", seen)

    def is_still(self, full_s=FULL_S):
        """Tell what a rescan is told now."""
        return self.cache.is_still("1-ABC", full_s)


@pytest.fixture
def finished(tmp_path):
    found = Finished(tmp_path)
    found.look()
    return found


def test_a_directory_is_spared_once_two_looks_found_the_same(finished):
    assert not finished.is_still()
    finished.look(after_s=60)
    assert finished.is_still()


def test_two_looks_within_a_tick_of_a_file_systems_clock_prove_nothing(finished):
    finished.look(after_s=1)
    assert not finished.is_still()


@pytest.mark.parametrize(("age_s", "is_still"), [(60, False), (7200, True)])
def test_one_look_is_enough_where_nothing_changed_for_long(finished, age_s, is_still):
    finished.cache.forget("1-ABC")
    finished.look(clock_s=age_s)
    assert finished.is_still() is is_still


def _late_file(root):
    (root / "assets/Image/b.bin").write_text("b")


def _removed_file(root):
    (root / "assets/Image/a.bin").unlink()


def _replaced_file(root):
    (root / "new").write_text("b")
    (root / "new").replace(root / "assets/Image/a.bin")


def _new_folder(root):
    (root / "assets/New").mkdir()


def _copied_with_its_times(root):
    folder = root / "assets/Image"
    before = folder.stat()
    (folder / "b.bin").write_text("b")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def _folder_out_of_reach(root):
    (root / "assets/Image").chmod(0)


def _other_directory_of_that_name(root):
    root.rename(root.with_name("other"))
    (root / "assets/Image").mkdir(parents=True)


def _removed(root):
    root.rename(root.with_name("other"))


CHANGES = [
    _late_file,
    _removed_file,
    _replaced_file,
    _new_folder,
    _copied_with_its_times,
    _folder_out_of_reach,
    _other_directory_of_that_name,
    _removed,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_whatever_comes_or_goes_is_looked_at_in_full(finished, change):
    finished.look(after_s=60)
    change(finished.root)
    assert not finished.is_still()


def test_a_change_between_the_looks_starts_over(finished):
    _late_file(finished.root)
    finished.look(after_s=60)
    assert not finished.is_still()
    finished.look(after_s=60)
    assert finished.is_still()


def test_a_file_that_grew_in_its_place_is_seen_by_the_next_full_look(finished):
    finished.look(after_s=60)
    with (finished.root / "assets/Image/a.bin").open("a") as file:
        file.write("more")
    assert finished.is_still()  # the folder cannot tell
    finished.now_s += FULL_S
    assert not finished.is_still()


def test_without_a_pause_between_full_looks_nothing_is_spared(finished):
    finished.look(after_s=60)
    assert not finished.is_still(full_s=0)


def test_a_directory_behind_a_link_is_another_once_the_link_is(tmp_path):
    finished = Finished(tmp_path)
    real = finished.root.rename(tmp_path / "real")
    finished.root.symlink_to(real)
    finished.look()
    finished.look(after_s=60)
    assert finished.is_still()

    other = tmp_path / "other"
    other.mkdir()
    finished.root.unlink()
    finished.root.symlink_to(other)
    assert not finished.is_still()


def test_where_folders_are_not_dated_nothing_is_spared(finished, monkeypatch):
    monkeypatch.setattr(mounts, "file_system", lambda _folder: "fuse.s3fs")
    finished.look(after_s=60)
    assert not finished.is_still()
