"""Folders that hold units, and prefixes found by wildcards: no name is passed over in silence."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.ignore_rules import IGNORE_FILE
from deriva_watch.edges.disk.scanning import listing
from deriva_watch.edges.disk.scanning.links import real_path
from deriva_watch.edges.disk.scanning.prefixes import matching
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.disk.scanning.scanner import scan
from running import write_files
from strangers import as_stranger, only_root

ALICE, BOB = 1001, 1002


@pytest.fixture
def folder():
    """A folder of executions that other users can reach."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        root.chmod(0o755)
        (root / "deriva-ml/execution").mkdir(parents=True)
        yield root / "deriva-ml/execution"


def listed(folder, *ignore, **policy):
    return listing.listed(folder, ScanPolicy(folder, **policy).links(), ignore)


def test_what_is_no_directory_has_a_reason(folder):
    (folder / "1-ABC").mkdir()
    (folder / "stray.txt").touch()
    os.mkfifo(folder / "pipe")
    (folder / "dangling").symlink_to("/nowhere/at/all")
    (folder / "gone").symlink_to("1-DEF")
    (folder / "loop").symlink_to("loop")
    (folder / "to-a-file").symlink_to("/etc/passwd")

    found = listed(folder)

    assert found.directories == {"1-ABC"}
    assert found.beside == {
        "stray.txt": "it is not a directory",
        "pipe": "it is not a directory",
        "dangling": "it is a link to something that does not exist",
        "gone": "it is a link to something that does not exist",
        "loop": "it is a link that cannot be followed: Too many levels of symbolic links",
        "to-a-file": "it is a link to something that is not a directory",
    }
    assert found.ignored == {}


@only_root
def test_a_link_that_may_not_be_followed_hides_no_other_name(folder, tmp_path):
    tmp_path.chmod(0o700)
    (folder / "1-ABC").mkdir()
    (folder / "1-DEF").symlink_to(tmp_path / "below/it")

    found = as_stranger(lambda: listed(folder))

    assert found.directories == {"1-ABC"}
    assert found.beside == {"1-DEF": "it is a link that cannot be followed: Permission denied"}


def test_names_like_ours_are_told_and_ours_are_not(folder):
    for name in ("aside", "0123456789abcdef", "probe-0123456789abcdef", "results"):
        (folder / f".deriva-watch-{name}").mkdir()

    found = listed(folder)

    assert set(found.beside) == {".deriva-watch-results"}
    assert "reserved" in found.beside[".deriva-watch-results"]
    assert found.directories == set()


def test_what_is_left_out_on_purpose_can_be_listed(folder):
    for name in ("#recycle", "scratch-1", "old", "1-ABC", "1-DEF"):
        (folder / name).mkdir()
    (folder / "latest-run").symlink_to("1-DEF")
    (folder / "x.tmp").touch()
    (folder / IGNORE_FILE).write_text("old/\n")

    found = listed(folder, "#recycle", "scratch*", "*.tmp")

    assert found.directories == {"1-ABC", "1-DEF"}
    assert found.beside == {}
    assert set(found.ignored) == {"#recycle", "scratch-1", "old", "latest-run", "x.tmp"}
    assert "Synology" in found.ignored["#recycle"]
    assert found.ignored["latest-run"] == "it is a link to 1-DEF, which is beside it"


def test_lines_of_an_ignore_file_that_do_not_count_are_told(folder):
    (folder / "1-ABC").mkdir()
    (folder / IGNORE_FILE).write_text("!old\n")

    assert "line 1" in listed(folder).ignored[IGNORE_FILE]


def test_an_ignore_file_that_cannot_be_read_is_told(folder):
    (folder / "1-ABC").mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / IGNORE_FILE))  # opening it is an error

    found = listed(folder)

    assert found.directories == {"1-ABC"}
    assert "cannot be read" in found.beside[IGNORE_FILE]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    assert listed(tmp_path / "nothing") == listing.Listing()
    (tmp_path / "file").touch()
    assert listed(tmp_path / "file/below") == listing.Listing()


def test_names_are_not_looked_for_outside_the_prefix(folder, tmp_path):
    """A link in the place of `execution` would tell the names in somebody's folder."""
    (tmp_path / "secret").mkdir()
    prefix = folder.parents[1]
    folder.rmdir()
    folder.symlink_to(tmp_path)

    with pytest.raises(RefusedError, match="outside the prefix"):
        listing.listed(folder, ScanPolicy(prefix).links(), ())
    links = ScanPolicy(prefix, allowed_link_roots=(tmp_path,)).links()
    assert listing.listed(folder, links, ()).directories == {"secret"}


# ---------------------------------------------------------------------- prefixes


@pytest.fixture
def homes():
    """Homes that other users can reach, of Alice and Bob."""
    with tempfile.TemporaryDirectory() as name:
        homes = Path(name).resolve() / "home"
        for who, owner in (("alice", ALICE), ("bob", BOB)):
            (homes / who / "work").mkdir(parents=True)
            if os.geteuid() == 0:
                os.chown(homes / who, owner, owner)
                os.chown(homes / who / "work", owner, owner)
        homes.parent.chmod(0o755)
        yield homes


def link(path, target, owner):
    path.symlink_to(target)
    os.lchown(path, owner, owner)


@only_root
def test_homes_that_may_not_be_looked_into_are_named(homes):
    (homes / "bob").chmod(0o700)
    (homes / "carol").mkdir()

    found = as_stranger(lambda: matching(homes / "*/work", ()))

    assert found.folders == [homes / "alice/work"]
    assert found.unknown == {homes / "bob": "it cannot be looked into: Permission denied"}
    trouble = found.trouble(homes / "*/work")
    assert trouble is not None
    assert str(homes / "bob") in trouble.why
    assert as_stranger(lambda: matching(homes / "*/work", ("bob",))).trouble(homes) is None


@only_root
def test_a_folder_of_homes_that_may_not_be_listed_is_named(homes):
    homes.chmod(0o711)

    found = as_stranger(lambda: matching(homes / "*/work", ()))

    assert found.folders == []
    assert found.unknown == {homes: "it cannot be listed: Permission denied"}


@only_root
def test_a_link_to_a_folder_of_its_maker_or_by_root_matches(homes):
    scratch = homes.parent / "scratch"
    scratch.mkdir()
    (homes / "alice/work").rename(scratch / "alice")
    link(homes / "alice/work", scratch / "alice", ALICE)
    (homes / "bob").rename(scratch / "bob")
    link(homes / "bob", scratch / "bob", 0)

    assert matching(homes / "*/work", ()).folders == [homes / "alice/work", homes / "bob/work"]


@only_root
def test_a_link_to_a_folder_of_somebody_else_does_not_match_and_is_named(homes):
    (homes / "alice/work").rmdir()
    link(homes / "alice/work", homes / "bob/work", ALICE)
    (homes / "carol").mkdir()
    link(homes / "carol/work", "/nowhere", ALICE)

    found = matching(homes / "*/work", ())

    assert found.folders == [homes / "bob/work"]
    assert found.unknown == {
        homes / "alice/work": f"it is a link by user {ALICE} to a folder of user {BOB}",
        homes / "carol/work": "it is a link to something that does not exist",
    }


@only_root
def test_a_match_exchanged_for_a_link_leads_nowhere(homes):
    """The folder matched when it was Alice's own; the look comes after it was exchanged."""
    run = homes / "bob/work/deriva-ml/execution/1-ABC"
    write_files(run, {"assets/Image/a.png": "of Bob"})
    (homes / "alice/work").rmdir()
    link(homes / "alice/work", homes / "bob/work", ALICE)
    prefix = homes / "alice/work"

    seen = scan(prefix / "deriva-ml/execution/1-ABC", ScanPolicy(prefix, named=homes))

    assert seen is not None
    assert seen.entries == {}
    assert "link by user 1001" in seen.unreadable["."]
    with pytest.raises(RefusedError, match="link by user 1001"):
        real_path(prefix, homes)


@only_root
def test_a_second_name_of_a_folder_is_not_watched_too(homes):
    (homes / "alice/work").rmdir()
    link(homes / "alice/work", homes / "bob/work", 0)

    found = matching(homes / "*/work", ())

    assert found.folders == [homes / "bob/work"]
    assert found.ignored == {homes / "alice/work": f"it is another name of {homes / 'bob/work'}"}


def test_a_wildcard_of_a_prefix_does_not_find_a_recycle_bin(tmp_path):
    for name in ("alice", "#recycle", ".hidden"):
        (tmp_path / name / "work").mkdir(parents=True)
    (tmp_path / "file").touch()

    found = matching(tmp_path / "*/work", ("#recycle",))

    assert found.folders == [tmp_path / "alice/work"]
    assert set(found.ignored) == {tmp_path / "#recycle"}
    assert found.unknown == {}
    assert matching(tmp_path / "#recycle/w*", ("#recycle",)).folders == [tmp_path / "#recycle/work"]
    assert matching(tmp_path / "none/*", ()).folders == []


def test_a_chain_of_thousands_of_links_keeps_no_other_name_from_being_listed(folder):
    (folder / "0").mkdir()
    for number in range(1, 2000):
        (folder / str(number)).symlink_to(str(number - 1))

    found = listed(folder)

    assert "0" in found.directories
    assert found.beside["1999"] == (
        "it is a link that cannot be followed: Too many levels of symbolic links"
    )
