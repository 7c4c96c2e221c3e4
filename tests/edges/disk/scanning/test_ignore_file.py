"""Ignore files: whose count, and for what."""

import os
import tempfile
from pathlib import Path

import pytest

from deriva_watch.core.completeness.observation import Kind
from deriva_watch.core.ignore_rules import IGNORE_FILE
from deriva_watch.edges.disk.scanning import ignore_file, listing
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.disk.scanning.scanner import look_at, scan
from running import deep_folders, write_files

STRANGER = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")


@pytest.fixture
def root():
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "deriva-ml/execution/1-ABC"
        root.mkdir(parents=True)
        yield root


def policy(root):
    return ScanPolicy(root.parents[2], has_outer=True)


def ignored(root):
    """Return the paths that a scan ignores; the same must hold for a look at each of them."""
    seen = scan(root, policy(root))
    assert seen is not None
    found = {path for path, entry in seen.entries.items() if entry.kind is Kind.IGNORED}
    each = look_at(root, seen.entries, policy(root))
    assert each is not None
    assert {path: e.kind for path, e in each.entries.items()} == {
        path: e.kind for path, e in seen.entries.items()
    }
    return found


def test_it_counts_for_its_folder_and_all_below(root):
    write_files(root, {"a/x.log": "", "a/b/y.log": "", "z.log": "", "a/out/1.bin": "", "out": ""})
    (root / "a" / IGNORE_FILE).write_text("*.log\nout/\n")

    assert ignored(root) == {"a/x.log", "a/b/y.log", "a/out/1.bin"}


def test_it_is_no_file_of_the_unit_itself(root):
    write_files(root, {f"a/{IGNORE_FILE}": "*.log", "a/x": ""})

    seen = scan(root, policy(root))

    assert seen is not None
    assert set(seen.entries) == {"a/x"}


def test_one_beside_the_unit_counts_too(root):
    write_files(root, {"x.log": "", "a/y.log": "", "a/keep": ""})
    (root.parent / IGNORE_FILE).write_text("*.log\n1-ABC/a/keep")

    assert ignored(root) == {"x.log", "a/y.log", "a/keep"}


@only_root
def test_one_of_somebody_else_does_not_count_and_that_is_told(root):
    write_files(root, {"x.log": "", IGNORE_FILE: "*"})
    os.chown(root / IGNORE_FILE, STRANGER, -1)

    assert ignored(root) == set()
    seen = scan(root, policy(root))
    assert seen is not None
    assert "user 65534 owns it, and user 0 the folder" in seen.skipped[IGNORE_FILE]


@only_root
def test_one_of_root_counts_for_everybody(root):
    write_files(root, {"x.log": "", IGNORE_FILE: "*.log"})
    os.chown(root, STRANGER, -1)

    assert ignored(root) == {"x.log"}


def test_a_link_a_pipe_and_a_large_file_do_not_count(root):
    write_files(root, {"a/x.log": "", "b/x.log": "", "c/x.log": "", "d/x.log": ""})
    (root.parent / "patterns").write_text("*")
    (root / "a" / IGNORE_FILE).symlink_to(root.parent / "patterns")
    os.mkfifo(root / "b" / IGNORE_FILE)
    (root / "c" / IGNORE_FILE).write_text("*\n" + "#" * 70_000)
    (root / "d" / IGNORE_FILE).mkdir()

    seen = scan(root, policy(root))

    assert seen is not None
    assert {entry.kind for entry in seen.entries.values()} == {Kind.CONTENT}
    assert set(seen.skipped) == {f"{each}/{IGNORE_FILE}" for each in "abcd"}


def test_a_system_folder_is_not_entered_and_is_told(root):
    write_files(root, {".snapshot/hourly/a": "", "a": ""})

    seen = scan(root, ScanPolicy(root.parents[2], ignore=(".snapshot",)))

    assert seen is not None
    assert set(seen.entries) == {"a"}
    assert "NetApp" in seen.skipped[".snapshot"]
    assert not any(path.endswith("hourly") for path in seen.directories)


def test_a_file_below_more_folders_than_the_stack_holds_is_looked_at(root):
    (root / IGNORE_FILE).write_text("*.log\n")
    with deep_folders(root, 1500) as path:
        (root / path / "a.log").touch()

        assert ignored(root) == {f"{path}/a.log"}


def many_stars():
    """Return the lines of an ignore file that takes long for deep names and ignores none."""
    return "".join(f"**/*/*/*/*/*/*/*/*/{number}/*\n" for number in range(1000))


@pytest.mark.parametrize("look", [scan, lambda r, p: look_at(r, ["a/b/c/d/e"], p)])
def test_ignore_files_that_take_too_long_are_named_and_not_gone_through(root, look, monkeypatch):
    monkeypatch.setattr(ignore_file, "LONGEST_S", 0.001)
    write_files(root, {"a/b/c/d/e": "x", IGNORE_FILE: many_stars()})

    seen = look(root, policy(root))

    assert seen.entries == {}
    assert seen.unreadable["."].startswith("its ignore files take longer than")


def test_an_ignore_file_beside_units_that_takes_too_long_does_not_count(root, monkeypatch):
    monkeypatch.setattr(listing, "LONGEST_S", 0.001)
    executions = root.parent
    (executions / IGNORE_FILE).write_text(many_stars())
    for number in range(10):
        (executions / str(number)).mkdir()

    found = listing.listed(executions, policy(root).links(), ())

    assert len(found.directories) == 11
    assert "take longer than" in found.ignored[IGNORE_FILE]
