"""Files of ours are written only into the folder of the unit, whatever takes its place."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from deriva_watch.core.completeness.observation import RECEIPT_NAME, Entry
from deriva_watch.core.layout import MANIFEST
from deriva_watch.edges.disk import receipts, unit_folder
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.disk.scanning.scanner import scan

ALICE, BOB, SHARED, NOBODY = 20_001, 20_002, 20_003, 65_534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")


@pytest.fixture
def prefix():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "deriva-ml/execution/1-ABC").mkdir(parents=True)
        yield folder


@pytest.fixture
def root(prefix):
    return prefix / "deriva-ml/execution/1-ABC"


@pytest.fixture
def home(prefix):
    """A folder of somebody else, with a file that has the name of ours."""
    folder = prefix / "home"
    folder.mkdir()
    (folder / RECEIPT_NAME).write_text("of its owner")
    return folder


def opened(root, seen=None):
    return unit_folder.opened(root, ScanPolicy(root.parents[2]).links(), seen)


def look(root):
    seen = scan(root, ScanPolicy(root.parents[2]))
    assert seen is not None
    return seen


def swap(root, home, owner=None):
    """Put a link to *home*, made by *owner*, in the place of *root*."""
    root.rename(root.with_name("aside"))
    root.symlink_to(home)
    if owner is not None:
        os.chown(root, owner, owner, follow_symlinks=False)


def test_a_receipt_is_written_into_the_folder_of_the_unit(root):
    with opened(root, look(root)) as folder:
        receipts.copy_receipt(folder, {"receipt": 1})

    assert json.loads((root / RECEIPT_NAME).read_text()) == {"receipt": 1}
    assert [path.name for path in root.iterdir()] == [RECEIPT_NAME]


@only_root
def test_nothing_is_written_through_a_link_that_another_user_made(root, home):
    os.chown(root, BOB, BOB)
    seen = look(root)
    swap(root, home, BOB)
    os.chown(home, ALICE, ALICE)

    with (
        pytest.raises(PermissionError, match="link by user 20002 to a file or folder of user"),
        opened(root),
    ):
        pass
    with pytest.raises(PermissionError), opened(root, seen):
        pass

    assert (home / RECEIPT_NAME).read_text() == "of its owner"


@only_root
def test_nothing_is_written_into_a_folder_of_root_through_a_link_of_a_user(root, home):
    """Such a folder may be read, because everybody may read it."""
    swap(root, home, BOB)

    with (
        pytest.raises(PermissionError, match="user 20002 made the link, user 0 owns"),
        opened(root),
    ):
        pass


def test_nothing_is_written_into_another_folder_than_the_one_that_was_looked_at(root):
    seen = look(root)
    root.rename(root.with_name("aside"))
    root.mkdir()

    with pytest.raises(PermissionError, match="replaced by another folder"), opened(root, seen):
        pass


@only_root
def test_nothing_is_written_into_a_folder_that_got_another_owner(root):
    seen = look(root)
    os.chown(root, ALICE, ALICE)

    with pytest.raises(PermissionError, match="replaced by another folder"), opened(root, seen):
        pass


def test_an_open_folder_stays_the_same_whatever_takes_its_place(root, home):
    with opened(root, look(root)) as folder:
        swap(root, home)
        receipts.copy_receipt(folder, {"receipt": 1})

    assert (home / RECEIPT_NAME).read_text() == "of its owner"
    assert (root.with_name("aside") / RECEIPT_NAME).exists()


def test_a_receipt_replaces_a_link_and_not_what_it_leads_to(root, home):
    (root / RECEIPT_NAME).symlink_to(home / RECEIPT_NAME)

    with opened(root) as folder:
        receipts.copy_receipt(folder, {"receipt": 1})

    assert (home / RECEIPT_NAME).read_text() == "of its owner"
    assert not (root / RECEIPT_NAME).is_symlink()


def test_a_manifest_that_is_a_link_is_not_written_to(root, home):
    text = json.dumps({"assets": {"Image/a.png": {"status": "pending"}}})
    (home / "manifest").write_text(text)
    (root / MANIFEST).symlink_to(home / "manifest")
    found = (home / "manifest").stat()
    entry = Entry(MANIFEST, found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino)

    with opened(root) as folder, pytest.raises(OSError, match="symbolic links"):
        receipts.update_manifest(folder, entry, {"Image/a.png": {"status": "uploaded"}})

    assert (home / "manifest").read_text() == text


@only_root
@pytest.mark.parametrize(
    ("owner", "writer", "counts"),
    [
        (ALICE, BOB, False),
        (ALICE, ALICE, True),
        (ALICE, 0, True),
        (ALICE, SHARED, True),
        (NOBODY, NOBODY, False),
    ],
)
def test_a_copy_of_a_receipt_counts_only_if_its_writer_counts_for_the_owner_of_the_folder(
    root, owner, writer, counts
):
    (root / RECEIPT_NAME).write_text(json.dumps({"execution": "1-ABC"}))
    os.chown(root, owner, owner)
    os.chown(root / RECEIPT_NAME, writer, writer)
    doubts = []

    with opened(root) as folder:
        assert bool(receipts.read_copy(folder, {SHARED}, doubts.append)) == counts
        assert bool(receipts.disbelieved_copies(folder, {SHARED})) != counts
    assert len(doubts) != counts


@only_root
def test_a_copy_that_we_ourselves_wrote_counts_in_every_folder(root):
    os.chown(root, ALICE, ALICE)
    root.chmod(0o777)
    root.parents[2].chmod(0o755)
    os.seteuid(BOB)
    try:
        with opened(root) as folder:
            receipts.copy_receipt(folder, {"execution": "1-ABC"})
            assert receipts.read_copy(folder) == {"execution": "1-ABC"}
    finally:
        os.seteuid(0)


def test_a_removal_is_told_to_the_copy_of_the_same_receipt_alone(tmp_path, root, home):
    receipt = {"server": "host/1", "execution": "1-ABC", "written_at": "now"}
    lines = [{"file": "a", "state": "linked"}, {"file": "b", "state": "linked"}]
    state = tmp_path / "state"
    receipts.write_receipt(state, "host/1", "1-ABC", {**receipt, "files": lines})
    with opened(root) as folder:
        receipts.copy_receipt(folder, {**receipt, "files": lines})

    receipts.tell_removed(state, "host/1", "1-ABC", lambda: opened(home), {"a": {}})
    assert (home / RECEIPT_NAME).read_text() == "of its owner"
    receipts.tell_removed(state, "host/1", "1-ABC", lambda: opened(root), {"b": {}})

    told = json.loads((root / RECEIPT_NAME).read_text())["files"]
    assert [line["state"] for line in told] == ["removed", "removed"]
