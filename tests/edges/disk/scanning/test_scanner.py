"""What a look sees, and what may never be opened."""

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

from deriva_watch.core.completeness.observation import RECEIPT_NAME, Entry, Kind, Observation
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.edges.disk.scanning.content import check_unchanged, open_content
from deriva_watch.edges.disk.scanning.look import Look
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.disk.scanning.scanner import scan
from strangers import as_stranger, only_root


@pytest.fixture
def prefix():
    """A prefix with the execution directory 1-ABC that other users can reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        (folder / "deriva-ml/execution/1-ABC").mkdir(parents=True)
        yield folder


@pytest.fixture
def root(prefix):
    return prefix / "deriva-ml/execution/1-ABC"


def look(root: Path, **policy: Any) -> Observation:
    prefix = policy.pop("prefix", root.parents[2])
    seen = scan(root, ScanPolicy(prefix, **policy))
    assert seen is not None
    return seen


def only_entry(root: Path, **policy: Any) -> Entry:
    (entry,) = look(root, **policy).entries.values()
    return entry


def content(root: Path, path: str, **policy: Any) -> bytes:
    prefix = policy.pop("prefix", root.parents[2])
    rules = ScanPolicy(prefix, **policy)
    with open_content(root, look(root, prefix=prefix, **policy).entries[path], rules) as body:
        return body.read()


def test_a_file_is_seen_with_size_time_and_identity(root):
    path = root / "asset/demo/Image/a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"pixels")

    entry = only_entry(root)

    found = path.stat()
    assert entry == Entry(
        "asset/demo/Image/a.png", 6, found.st_mtime_ns, found.st_dev, found.st_ino
    )


@pytest.mark.parametrize(
    "name", [b".hidden", b"IMG 001.JPG", b"data.tar.gz", b"no\xff utf-8", b"new\nline", b"noend"]
)
def test_any_name_a_linux_file_can_have_is_content(root, name):
    Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(b"x")

    assert os.fsencode(only_entry(root).path) == name
    assert content(root, os.fsdecode(name)) == b"x"


def test_an_empty_directory_has_no_entries(root):
    (root / "assets/Image").mkdir(parents=True)

    assert look(root).entries == {}


def test_a_directory_that_is_gone_is_none(root):
    root.rmdir()

    assert scan(root, ScanPolicy(root.parents[2])) is None


def test_a_file_in_the_place_of_the_directory_is_none(root):
    root.rmdir()
    root.write_text("not a directory")

    assert scan(root, ScanPolicy(root.parents[2])) is None


def test_an_ignored_name_ignores_everything_below_and_is_counted(root):
    (root / "@eaDir/deep").mkdir(parents=True)
    (root / "@eaDir/deep/thumb.png").write_text("x")
    (root / "a.part").write_text("x")
    (root / "a.png").write_text("x")

    seen = look(root, ignore=("@eaDir", "*.part"))

    assert {path: entry.kind for path, entry in seen.entries.items()} == {
        "@eaDir/deep/thumb.png": Kind.IGNORED,
        "a.part": Kind.IGNORED,
        "a.png": Kind.CONTENT,
    }


def test_our_own_files_are_no_entries(root):
    (root / RECEIPT_NAME).write_text("{}")
    (root / ".deriva-watch-receipt.tmp").write_text("{}")

    assert look(root).entries == {}


def test_a_receipt_in_a_folder_below_is_somebodys_data(root):
    (root / "assets").mkdir()
    (root / "assets" / RECEIPT_NAME).write_text("{}")

    assert only_entry(root).kind is Kind.CONTENT


def test_a_look_changes_nothing(root):
    (root / "a").write_text("x")
    before = root.stat().st_mtime_ns, sorted(root.iterdir())

    look(root)

    assert before == (root.stat().st_mtime_ns, sorted(root.iterdir()))


def test_a_named_pipe_and_a_socket_are_unusable_and_do_not_block(root):
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))

    seen = look(root)

    assert seen.entries["pipe"].problem == (
        "it is a named pipe; only regular files can be uploaded"
    )
    assert seen.entries["socket"].problem == "it is a socket; only regular files can be uploaded"


def test_what_may_not_be_read_is_named(root):
    """A file is unusable, a directory unreadable unless it is ignored; neighbours are seen."""
    (root / "secret.png").write_text("x")
    (root / "secret.png").chmod(0)
    (root / "closed").mkdir(mode=0o000)
    (root / "@eaDir").mkdir(mode=0o000)
    (root / "open.png").write_text("x")

    seen = as_stranger(lambda: look(root, ignore=("@eaDir",)))

    (root / "closed").chmod(0o700)
    (root / "@eaDir").chmod(0o700)
    assert seen.entries["secret.png"].problem == (
        "the user of the daemon may not read it (mode 0000)"
    )
    assert seen.unreadable == {"closed": "Permission denied"}
    assert seen.entries["open.png"].kind is Kind.CONTENT


def test_an_execution_directory_that_may_not_be_listed_is_not_gone(root):
    root.chmod(0)

    seen = as_stranger(lambda: look(root))

    root.chmod(0o700)
    assert seen.unreadable == {".": "Permission denied"}


def test_a_link_to_a_file_below_the_prefix_is_that_file(root, prefix):
    target = prefix / "src" / "a.png"
    target.parent.mkdir()
    target.write_bytes(b"pixels")
    (root / "a.png").symlink_to(target)

    entry = only_entry(root)

    assert (entry.link, entry.target, entry.size_bytes) == (True, str(target), 6)
    assert entry.identity == (target.stat().st_dev, target.stat().st_ino)
    assert content(root, "a.png") == b"pixels"


def test_a_relative_link_and_a_link_to_a_link_are_followed(root):
    (root / "assets").mkdir()
    (root / "assets/a.png").write_bytes(b"pixels")
    (root / "b.png").symlink_to("assets/a.png")
    (root / "c.png").symlink_to("assets/../b.png")

    assert content(root, "b.png") == content(root, "c.png") == b"pixels"


def test_a_link_to_elsewhere_needs_an_allowed_root(root, tmp_path):
    (tmp_path / "a.png").write_bytes(b"pixels")
    (root / "a.png").symlink_to(tmp_path / "a.png")

    assert only_entry(root).problem == (
        f"it leads to {tmp_path}/a.png, outside the prefix and [files] allowed_link_roots"
    )
    assert content(root, "a.png", allowed_link_roots=(tmp_path,)) == b"pixels"


def test_a_folder_whose_name_begins_like_an_allowed_root_is_another(root, tmp_path):
    (tmp_path / "data2").mkdir()
    (tmp_path / "data2/a.png").write_bytes(b"pixels")
    (root / "a.png").symlink_to(tmp_path / "data2/a.png")

    assert only_entry(root, allowed_link_roots=(tmp_path / "data",)).kind is Kind.UNUSABLE


@pytest.mark.parametrize(
    "place", [".ssh/id_rsa", ".deriva/credential.json", ".globus/key", "old-Credential-2.json"]
)
def test_no_link_leads_to_credentials(root, prefix, place):
    (prefix / place).parent.mkdir(exist_ok=True)
    (prefix / place).write_text("secret")
    (root / "a.txt").symlink_to(prefix / place)

    assert "which holds credentials" in (only_entry(root).problem or "")


def test_no_link_leads_to_the_state_of_the_daemon(root, prefix):
    (prefix / "state").mkdir()
    (prefix / "state/journal.db").write_text("x")
    (root / "a.db").symlink_to(prefix / "state/journal.db")

    assert only_entry(root, state_directory=prefix / "state").kind is Kind.UNUSABLE


def test_dangling_links_and_loops_cannot_be_followed(root):
    (root / "dangling").symlink_to("nothing")
    (root / "loop").symlink_to("loop")

    problems = {path: entry.problem for path, entry in look(root).entries.items()}

    assert problems == {
        "dangling": "it is a link that cannot be followed: No such file or directory",
        "loop": "it is a link that cannot be followed: Too many levels of symbolic links",
    }


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_chain_of_thousands_of_links_cannot_be_followed(root, kind):
    (root / "0").mkdir() if kind == "folder" else (root / "0").write_text("x")
    for number in range(1, 2000):
        (root / str(number)).symlink_to(str(number - 1))

    problem = look(root).entries["1999"].problem

    assert problem == "it is a link that cannot be followed: Too many levels of symbolic links"


def test_an_execution_directory_that_is_a_chain_of_thousands_of_links_is_refused(prefix):
    executions = prefix / "deriva-ml/execution"
    for number in range(1, 2000):
        (executions / str(number)).symlink_to(str(number - 1))

    found = scan(executions / "1999", ScanPolicy(prefix))

    assert found.unreadable == {".": "Too many levels of symbolic links"}


@only_root
def test_a_link_to_a_file_of_another_user_is_not_followed(root, prefix):
    (prefix / "theirs").write_text("x")
    os.chown(prefix / "theirs", 1000, 1000)
    (root / "a").symlink_to(prefix / "theirs")

    assert only_entry(root).problem == "it is a link by user 0 to a file or folder of user 1000"


@only_root
@pytest.mark.parametrize(("mode", "kind"), [(0o644, Kind.CONTENT), (0o640, Kind.UNUSABLE)])
def test_a_link_to_a_file_of_root_needs_it_to_be_readable_by_all(root, prefix, mode, kind):
    (prefix / "shared").write_text("x")
    (prefix / "shared").chmod(mode)
    (root / "a").symlink_to(prefix / "shared")
    for each in (root, root / "a"):
        os.chown(each, 1000, 1000, follow_symlinks=False)

    assert only_entry(root).kind is kind


@only_root
@pytest.mark.parametrize("target", ["a regular file", "nothing", "/etc"])
def test_a_link_of_somebody_else_is_ignored_wherever_it_leads(root, prefix, target):
    (prefix / "a regular file").write_text("x")
    (root / "a").symlink_to(prefix / target)
    os.lchown(root / "a", 1000, 1000)

    entry = only_entry(root)

    why = "it does not count: user 1000 owns it, and user 0 the folder that it is about"
    assert (entry.kind, entry.problem) == (Kind.IGNORED, f"it is a link, and {why}")
    assert look(root).disbelieved == {"a": why}


@only_root
@pytest.mark.parametrize("trusted", [{1000}, None])
def test_a_link_of_a_trusted_user_is_followed_as_any_in_a_folder_for_everybody(
    root, prefix, trusted
):
    (prefix / "theirs").write_text("x")
    (root / "a").symlink_to(prefix / "theirs")
    for each in (prefix / "theirs", root / "a"):
        os.chown(each, 1000, 1000, follow_symlinks=False)

    assert only_entry(root, trusted_owners=trusted).kind is Kind.CONTENT


@only_root
def test_the_owners_of_files_that_another_user_left_are_told(root):
    for name in ("mine", "theirs"):
        (root / name).touch()
    os.chown(root / "theirs", 1000, 1000)

    seen = look(root)

    assert (seen.owner, seen.owners) == (0, {"theirs": 1000})


@only_root
def test_a_hard_link_to_a_file_of_another_user_is_not_uploaded(root, prefix):
    (prefix / "theirs").write_text("x")
    os.chown(prefix / "theirs", 1000, 1000)
    (root / "a").hardlink_to(prefix / "theirs")

    assert only_entry(root).kind is Kind.UNUSABLE


def test_a_hard_link_to_a_file_of_ones_own_is_content(root, prefix):
    (prefix / "mine").write_text("x")
    (root / "a").hardlink_to(prefix / "mine")

    assert only_entry(root).kind is Kind.CONTENT


def test_a_linked_directory_is_followed_by_the_same_policy(root, prefix, tmp_path):
    (prefix / "run").mkdir()
    (prefix / "run/a.png").write_bytes(b"pixels")
    (prefix / "run/.ssh").mkdir()
    (prefix / "run/.ssh/id_rsa").write_text("secret")
    (root / "run").symlink_to(prefix / "run")
    (root / "out").symlink_to(tmp_path)

    seen = look(root)

    assert content(root, "run/a.png") == b"pixels"
    assert seen.entries["run/a.png"].link
    assert "credentials" in seen.unreadable["run/.ssh"]
    assert seen.entries["out"].kind is Kind.UNUSABLE
    assert set(seen.entries) == {"run/a.png", "out"}


def test_linked_directories_do_not_loop_and_nothing_is_seen_twice(root, prefix):
    (root / "real").mkdir()
    (root / "real/a.png").write_text("x")
    (root / "again").symlink_to("real")
    (root / "real/up").symlink_to("..")
    (root / "all").symlink_to(prefix)

    seen = look(root)

    assert set(seen.entries) == {"real/a.png"}
    assert set(seen.unreadable) == {"again", "real/up", "all"}


def test_an_execution_directory_may_itself_be_a_link(root, prefix):
    (prefix / "big").mkdir()
    (prefix / "big/a.png").write_bytes(b"pixels")
    root.rmdir()
    root.symlink_to(prefix / "big")

    assert content(root, "a.png") == b"pixels"


def test_an_execution_directory_that_leads_out_of_the_prefix_is_refused(root, tmp_path):
    (tmp_path / "a.png").write_text("x")
    root.rmdir()
    root.symlink_to(tmp_path)

    seen = look(root)

    assert seen.entries == {}
    assert "outside the prefix" in seen.unreadable["."]


def test_names_like_ours_are_told_and_ours_are_not(root):
    for name in (RECEIPT_NAME, ".deriva-watch-0123456789abcdef", "a.png"):
        (root / name).write_text("x")
    for name in (".deriva-watch-aside", ".deriva-watch-results", "a/.deriva-watch-results"):
        (root / name).mkdir(parents=True)
        (root / name / "b.png").write_text("x")

    seen = look(root)

    assert set(seen.entries) == {"a.png", "a/.deriva-watch-results/b.png"}
    assert "reserved" in seen.skipped.pop(".deriva-watch-results")
    assert "1 file of a removal" in seen.skipped.pop(".deriva-watch-aside")
    assert seen.skipped == {}


@only_root
def test_a_folder_that_cannot_be_listed_is_told_even_if_it_is_ignored(root):
    (root / "old").mkdir(mode=0o700)

    seen = as_stranger(lambda: look(root, ignore=("old",)))

    assert seen.unreadable == {}
    assert "cannot be listed" in seen.skipped["old"]


def test_content_that_changed_since_the_look_is_not_opened(root):
    (root / "a").write_text("old")
    entry = only_entry(root)
    (root / "a").write_text("newer")

    with pytest.raises(FileChangedError):
        open_content(root, entry, ScanPolicy(root.parents[2]))
    with pytest.raises(FileChangedError):
        check_unchanged(root, entry)


def test_files_are_opened_by_their_paths_where_inode_numbers_do_not_stay(root):
    for name in ("a", "b"):
        (root / name).write_text(f"in {name}")
        os.utime(root / name, (1, 1))
    (root / "link").symlink_to("a")
    rules = ScanPolicy(root.parents[2], inodes_stay=lambda _: False)
    before = look(root, inodes_stay=rules.inodes_stay)
    (root / "new").write_text("in a")
    os.utime(root / "new", (1, 1))
    (root / "new").replace(root / "a")  # now its number is another

    seen = look(root, inodes_stay=rules.inodes_stay)
    a, b, link = (seen.entries[name] for name in ("a", "b", "link"))
    assert seen.digest() == before.digest() != look(root).digest()
    assert a.identity == link.identity != b.identity
    for entry in before.entries.values():
        check_unchanged(root, entry)
        with open_content(root, entry, rules) as body:
            assert body.read() == (root / entry.path).read_bytes()

    (root / "link").unlink()
    (root / "link").symlink_to("b")
    with pytest.raises(FileChangedError):
        check_unchanged(root, link)


def test_content_that_vanished_since_the_look_is_not_opened(root):
    (root / "a").write_text("old")
    entry = only_entry(root)
    (root / "a").unlink()

    with pytest.raises(FileChangedError):
        open_content(root, entry, ScanPolicy(root.parents[2]))


def test_a_folder_exchanged_for_a_link_leads_nowhere(root, prefix):
    """Even when the look itself was led astray, and the stamp is that of the stranger's file."""
    (prefix / "home").mkdir()
    (prefix / "home/a").write_text("secret")
    (root / "folder").symlink_to(prefix / "home")
    found = (prefix / "home/a").stat()
    entry = Entry("folder/a", 6, found.st_mtime_ns, found.st_dev, found.st_ino)

    with pytest.raises(FileChangedError):
        open_content(root, entry, ScanPolicy(prefix))


@only_root
def test_a_link_handed_to_another_owner_after_the_look_is_not_opened(root, prefix):
    (prefix / "secret").write_text("x")
    (prefix / "secret").chmod(0o600)
    (root / "a").symlink_to(prefix / "secret")
    entry = only_entry(root)
    os.lchown(root / "a", 1000, 1000)

    with pytest.raises(RefusedError, match="link by user 1000"):
        open_content(root, entry, ScanPolicy(prefix))


def test_nothing_stays_open_when_content_is_refused(root):
    (root / "a").write_text("old")
    entry = only_entry(root)
    (root / "a").write_text("newer")
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(FileChangedError):
        open_content(root, entry, ScanPolicy(root.parents[2]))

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_unchanged_content_is_unchanged_through_its_link(root, prefix):
    (prefix / "a").write_text("x")
    (root / "a").symlink_to(prefix / "a")

    check_unchanged(root, only_entry(root))


def test_a_folder_that_is_swapped_for_a_link_while_it_is_scanned_is_not_listed(
    root, tmp_path, monkeypatch
):
    (root / "asset").mkdir()
    (root / "a.txt").write_text("x")
    (tmp_path / "secret.txt").write_text("x")
    take = Look._take

    def swap(self, name, place, stack):
        take(self, name, place, stack)
        if name.name == "asset":
            (root / "asset").rmdir()
            (root / "asset").symlink_to(tmp_path)

    monkeypatch.setattr(Look, "_take", swap)

    assert set(look(root).entries) == {"a.txt"}
