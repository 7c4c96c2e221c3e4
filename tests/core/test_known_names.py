"""Names of programs and file servers that are not data, and names like them that are."""

import pytest

from deriva_watch.core.ignore_rules import Rule
from deriva_watch.core.known_names import IGNORED, KNOWN, PARTIAL, NameKind, merged

KNOWN_NAMES = Rule(IGNORED, "[files] ignore")
SYSTEM_FOLDERS = [
    *("#recycle", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN", "$Recycle.Bin", "RECYCLER"),
    *("System Volume Information", ".Trash-1000", ".Trashes", ".snapshot", ".snapshots"),
    *("~snapshot", "#snapshot", "lost+found", ".TemporaryItems", ".Spotlight-V100", ".fseventsd"),
    *(".zfs", ".recycle", "found.000"),
]
LEFTOVERS = [
    *(".scan.raw.aB3xYz", ".~tmp~", ".fuse_hidden0000000300000001", ".smbdeleteAAA12b4"),
    *(".nfs00000000000001a200000003", ".goutputstream-5LM8A2", "scan.raw.aspx", "scan.raw.partial"),
    *("scan.raw.aspera-ckpt", "notes.pdf:Zone.Identifier", "notes.pdf\uf022Zone.Identifier"),
    *("setup.zip.crdownload", "scan.raw.filepart", ".in.scan.raw", "@eaDir", "._scan.raw"),
    *(".__smbfile_silly12", ".#notes.org", ".syncthing.scan.raw.tmp", "Thumbs.db"),
]
DATA = [
    *(".hidden", ".complete", ".columns.json", ".cache.sqlite", ".model.pickle", ".sum.sha256"),
    *("recycle", "snapshot", "snapshots", "a.raw.aB3xYz", "part", "found.txt", "tmp", "Zone"),
    *("model.v2.pt", "#1 scan", "@home", "$5.csv", "nfs", ".smbrc", "4JK8", "a~snapshot"),
]


@pytest.mark.parametrize("name", SYSTEM_FOLDERS)
def test_a_system_folder_is_ignored_and_not_entered(name):
    found = KNOWN_NAMES.ignored(name, is_dir=True)

    assert found is not None
    assert found.is_system


@pytest.mark.parametrize("name", LEFTOVERS)
def test_a_leftover_is_ignored_and_its_program_is_named(name):
    found = KNOWN_NAMES.ignored(name, is_dir=False)

    assert found is not None
    assert any(known.made_by in found.why for known in KNOWN.values())


@pytest.mark.parametrize("name", DATA)
def test_a_name_that_only_looks_like_one_is_data(name):
    assert KNOWN_NAMES.ignored(name, is_dir=False) is None
    assert KNOWN_NAMES.ignored(name, is_dir=True) is None


def test_what_is_partial_is_ignored_as_well():
    assert set(PARTIAL) == {
        known.pattern for known in KNOWN.values() if known.kind is NameKind.PARTIAL
    }
    assert set(PARTIAL) < set(IGNORED)


def test_settings_add_to_the_known_names_and_take_some_out():
    assert merged(("a", "b"), ("!a", "c", "b")) == ("b", "c")
