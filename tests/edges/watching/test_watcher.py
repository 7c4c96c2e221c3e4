"""Hints from the file system, and what happens when they stop."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deriva_watch.edges.watching.mounts import Mount, file_system, mount
from deriva_watch.edges.watching.observer_choice import Mode, Watched
from deriva_watch.edges.watching.watcher import Folder, Watcher

DEADLINE_S = 60


class Ears:
    """Keeps what the watcher says; its clock stands until it is moved."""

    def __init__(self) -> None:
        self.hints: list[tuple[Path, str]] = []
        self.troubles: list[tuple[str | None, str]] = []
        self.now = 0.0

    def hint(self, prefix: Path, rid: str) -> None:
        """Take a hint."""
        self.hints.append((prefix, rid))

    def trouble(self, prefix: str | None, why: str) -> None:
        """Take what is wrong."""
        self.troubles.append((prefix, why))

    def rids(self) -> set[str]:
        """Return the executions that were named."""
        return {rid for _, rid in self.hints}


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture
def watcher(ears):
    watcher = Watcher(ears.hint, ears.trouble, lambda: ears.now)
    yield watcher
    watcher.stop()


@pytest.fixture
def executions(tmp_path):
    folder = tmp_path / "deriva-ml/execution"
    folder.mkdir(parents=True)
    return folder


def watch(watcher: Watcher, prefix: Path, wanted="auto") -> Mode:
    return watcher.watch(prefix, (Folder(prefix / "deriva-ml/execution"),), wanted).mode


def follow(watcher: Watcher, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    watcher.follow(directory.parents[2], directory.name, directory)


def modes(watcher: Watcher) -> dict[Path, Mode]:
    return {prefix: watched.mode for prefix, watched in check(watcher).items()}


def check(watcher: Watcher) -> dict[Path, Watched]:
    """Repair all that broke; return what has changed."""
    watcher.repair()
    found = {prefix: watcher.check(prefix) for prefix in watcher._roots}
    return {prefix: watched for prefix, watched in found.items() if watched}


def eventually(condition: Callable[[], object]) -> bool:
    until = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_a_file_in_an_execution_directory_is_a_hint(watcher, ears, executions, tmp_path):
    assert watch(watcher, tmp_path) is Mode.NATIVE
    follow(watcher, executions / "1-ABC")
    assert eventually(lambda: ears.hints)
    ears.hints.clear()

    (executions / "1-ABC/assets/Image").mkdir(parents=True)

    assert eventually(lambda: (tmp_path, "1-ABC") in ears.hints)
    ears.hints.clear()
    (executions / "1-ABC/assets/Image/a.png").write_text("x")
    assert eventually(lambda: ears.rids() == {"1-ABC"})


def test_closing_deleting_and_moving_are_hints(watcher, ears, executions, tmp_path):
    path = executions / "1-A/a.png"
    path.parent.mkdir()
    (executions / "1-B").mkdir()
    path.write_text("x")
    moved = executions / "1-A/b.png"
    watch(watcher, tmp_path)
    follow(watcher, path.parent)

    for change in (lambda: path.write_text("y"), lambda: path.rename(moved), moved.unlink):
        ears.hints.clear()
        change()
        assert eventually(lambda: ears.rids() == {"1-A"})


def test_moving_between_executions_is_a_hint_for_both(watcher, ears, executions, tmp_path):
    for rid in ("1-A", "1-B"):
        (executions / rid).mkdir()
    (executions / "1-A/a.png").write_text("x")
    watch(watcher, tmp_path)
    for rid in ("1-A", "1-B"):
        follow(watcher, executions / rid)

    (executions / "1-A/a.png").rename(executions / "1-B/a.png")

    assert eventually(lambda: ears.rids() == {"1-A", "1-B"})


def test_what_is_no_execution_is_no_hint(watcher, ears, executions, tmp_path):
    watch(watcher, tmp_path)

    (tmp_path / "deriva-ml/table").mkdir()
    (tmp_path / "catalogs").mkdir()
    (executions / "1-ABC").mkdir()

    assert eventually(lambda: ears.hints)
    assert ears.rids() == {"1-ABC"}


def test_a_prefix_may_be_reached_by_a_link(watcher, ears, executions, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    watch(watcher, tmp_path / "link")

    (executions / "1-ABC").mkdir()

    assert eventually(lambda: (tmp_path / "link", "1-ABC") in ears.hints)


def test_many_prefixes_are_told_apart(watcher, ears, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "deriva-ml/execution").mkdir(parents=True)
        watch(watcher, tmp_path / name)

    (tmp_path / "two/deriva-ml/execution/1-ABC").mkdir()

    assert eventually(lambda: ears.hints)
    assert set(ears.hints) == {(tmp_path / "two", "1-ABC")}


def test_a_prefix_that_is_not_there_yet_is_watched_when_it_comes(watcher, ears, tmp_path):
    prefix = tmp_path / "later"
    assert watch(watcher, prefix) is Mode.MISSING
    assert modes(watcher) == {}

    (prefix / "deriva-ml/execution").mkdir(parents=True)

    assert modes(watcher) == {prefix: Mode.NATIVE}
    (prefix / "deriva-ml/execution/1-ABC").mkdir()
    assert eventually(lambda: ears.hints)


def test_a_root_that_goes_and_comes_is_watched_again(watcher, ears, executions, tmp_path):
    watch(watcher, tmp_path)

    shutil.rmtree(tmp_path / "deriva-ml")
    assert modes(watcher) == {tmp_path: Mode.MISSING}
    executions.mkdir(parents=True)
    assert modes(watcher) == {tmp_path: Mode.NATIVE}
    ears.hints.clear()
    (executions / "1-ABC").mkdir()

    assert eventually(lambda: ears.rids() == {"1-ABC"})
    assert ears.troubles == []


def test_a_root_that_was_replaced_is_watched_again(watcher, ears, executions, tmp_path):
    """The kernel says nothing, and would go on telling of the old folder."""
    watch(watcher, tmp_path)
    (tmp_path / "deriva-ml").rename(tmp_path / "old")
    executions.mkdir(parents=True)

    assert modes(watcher) == {tmp_path: Mode.NATIVE}
    (tmp_path / "old/execution/1-OLD").mkdir()
    (executions / "1-NEW").mkdir()

    assert eventually(lambda: ears.hints)
    assert ears.rids() == {"1-NEW"}


def test_polling_needs_no_threads(watcher, executions, tmp_path):
    before = set(threading.enumerate())

    assert watch(watcher, tmp_path, "polling") is Mode.POLLING

    assert not set(threading.enumerate()) - before
    assert modes(watcher) == {}
    executions.rmdir()
    assert modes(watcher) == {tmp_path: Mode.MISSING}


def test_a_failing_listener_does_not_stop_the_hints(ears, executions, tmp_path):
    def listen(prefix: Path, rid: str) -> None:
        ears.hint(prefix, rid)
        if rid == "1-BAD":
            raise ValueError(rid)

    watcher = Watcher(listen, ears.trouble, clock=lambda: ears.now)
    watch(watcher, tmp_path)

    (executions / "1-BAD").mkdir()
    (executions / "1-GOOD").mkdir()

    assert eventually(lambda: "1-GOOD" in ears.rids())
    check(watcher)
    assert ears.troubles == [(None, "a change could not be reported: ValueError('1-BAD')")]
    watcher.stop()


def overflow(watcher: Watcher, folder: Path) -> None:
    """Let events come while nobody reads them."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    observer = watcher._observer
    with observer.watches._lock:
        for number in range(limit // 5 * 2):  # three events each: more than the queue holds
            (folder / f"{number}").touch()
            (folder / f"{number}").unlink()
    assert eventually(lambda: observer.handler.overflowed)


def test_an_overflow_is_trouble_and_hints_go_on(watcher, ears, executions, tmp_path):
    (executions / "1-A").mkdir()
    watch(watcher, tmp_path)
    follow(watcher, executions / "1-A")

    overflow(watcher, executions / "1-A")

    assert modes(watcher) == {}
    assert ears.troubles == [(None, "the file system changed faster than its events could be read")]
    ears.hints.clear()
    (executions / "1-B").mkdir()
    assert eventually(lambda: ears.rids() == {"1-B"})


def test_what_breaks_again_and_again_is_mended_now_and_then(watcher, ears, executions, tmp_path):
    assert executions.is_dir()
    watch(watcher, tmp_path)
    for ears.now in (100.0, 101.0, 109.0, 111.0):
        watcher._observer.handler.overflowed = True
        check(watcher)

    assert len(ears.troubles) == 2


def test_a_thread_that_died_is_replaced(watcher, ears, executions, tmp_path):
    watch(watcher, tmp_path)
    watcher._observer.close()

    check(watcher)

    assert ears.troubles == [(None, "the thread that watches the file system died")]
    (executions / "1-ABC").mkdir()
    assert eventually(lambda: ears.hints)


def test_a_reader_that_died_leaves_no_descriptor_open(watcher, executions, tmp_path, monkeypatch):
    assert executions.is_dir()
    died = []
    monkeypatch.setattr(threading, "excepthook", lambda args: died.append(args.exc_type))
    watch(watcher, tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))

    monkeypatch.setattr(watcher._observer.emitter, "queue_events", lambda _: 1 / 0)
    (executions / "1-A").mkdir()  # ends the reading that is under way
    assert eventually(lambda: died == [ZeroDivisionError])
    check(watcher)

    assert not watcher._observer.has_ended
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_tree_made_at_once_is_watched_to_its_ends(watcher, ears, executions, tmp_path):
    watch(watcher, tmp_path)
    follow(watcher, executions / "1-A")
    deepest = [executions / "1-A" / f"{number}/a/b/c/d/e" for number in range(100)]

    for folder in deepest:
        folder.mkdir(parents=True)

    assert eventually(lambda: watcher.watches == 2 + 6 * len(deepest))
    for folder in deepest[::20]:
        ears.hints.clear()
        (folder / "late").touch()
        assert eventually(lambda: ears.rids() == {"1-A"})
    assert ears.troubles == []


def test_many_changes_that_come_together_are_few_hints(watcher, ears, executions, tmp_path):
    watch(watcher, tmp_path)
    follow(watcher, executions / "1-A")
    assert eventually(lambda: ears.hints)
    ears.hints.clear()

    with watcher._observer.watches._lock:  # the reader waits meanwhile
        for number in range(1000):
            (executions / f"1-A/{number}").touch()

    assert eventually(lambda: watcher._observer.emitter.heard[tmp_path] >= 2000 and ears.hints)
    assert len(ears.hints) < 10


def test_a_tree_moved_in_is_watched_like_one_that_was_made(watcher, ears, executions, tmp_path):
    watch(watcher, tmp_path)
    follow(watcher, executions / "1-A")
    (tmp_path / "elsewhere/deep").mkdir(parents=True)

    (tmp_path / "elsewhere").rename(executions / "1-A/here")

    assert eventually(lambda: watcher.watches == 4)
    ears.hints.clear()
    (executions / "1-A/here/deep/late").touch()
    assert eventually(lambda: ears.rids() == {"1-A"})


def test_thousands_of_directories_are_followed_by_two_threads(watcher, executions, tmp_path):
    before = set(threading.enumerate())
    watch(watcher, tmp_path)

    for number in range(2000):
        follow(watcher, executions / f"1-{number}")

    assert len(set(threading.enumerate()) - before) == 2
    assert watcher.watches == 2001


def test_a_root_alone_costs_one_watch_however_much_lies_in_it(watcher, executions, tmp_path):
    for number in range(50):
        (executions / f"1-{number}/a/b").mkdir(parents=True)

    watch(watcher, tmp_path)

    assert watcher.watches == 1


def test_what_is_let_go_keeps_its_watches_while_they_are_few(
    watcher, ears, executions, tmp_path, monkeypatch
):
    monkeypatch.setattr("deriva_watch.edges.watching.followed.SPARE_WATCHES", 4)
    watch(watcher, tmp_path)
    for rid in ("1-A", "1-B", "1-C"):
        follow(watcher, executions / rid / "deep")
        watcher.follow(tmp_path, rid, executions / rid)

    for rid in ("1-A", "1-B", "1-C"):
        watcher.unfollow(tmp_path, rid)

    assert eventually(lambda: {"1-A", "1-B", "1-C"} <= ears.rids())
    ears.hints.clear()
    for rid in ("1-A", "1-B", "1-C"):
        (executions / rid / "late").touch()
    assert eventually(lambda: "1-C" in ears.rids())
    assert "1-A" not in ears.rids()


def test_what_was_deleted_is_not_remembered(watcher, executions, tmp_path):
    watch(watcher, tmp_path)
    follow(watcher, executions / "1-A")

    (executions / "1-A").rmdir()
    assert eventually(lambda: watcher.watches == 1)
    watcher.unfollow(tmp_path, "1-A")

    assert not watcher._followed._directories


def test_a_directory_that_was_replaced_is_followed_again(watcher, ears, executions, tmp_path):
    watch(watcher, tmp_path)
    follow(watcher, executions / "1-A")
    (executions / "1-A").rename(tmp_path / "old")
    (executions / "1-A/deep").mkdir(parents=True)
    follow(watcher, executions / "1-A")
    assert eventually(lambda: ears.hints)
    time.sleep(0.05)  # the hints of the move itself are all in
    ears.hints.clear()

    (tmp_path / "old/late").touch()
    (executions / "1-A/deep/late").touch()

    assert eventually(lambda: ears.hints)
    assert watcher.watches == 3


def test_files_in_the_folder_itself_are_told_apart_where_that_is_asked_for(watcher, ears, tmp_path):
    (tmp_path / "run").mkdir()
    watcher.watch(tmp_path, (Folder(tmp_path, loose=True),))

    (tmp_path / "image.tif").touch()
    (tmp_path / "other").mkdir()

    assert eventually(lambda: ears.rids() == {".", "other"})


def test_a_second_folder_may_come_later_and_is_watched_to_its_ends(
    watcher, ears, executions, tmp_path
):
    tables = tmp_path / "deriva-ml/table"
    watcher.watch(tmp_path, (Folder(executions), Folder(tables, "rows")))

    (tables / "isa").mkdir(parents=True)

    assert modes(watcher) == {tmp_path: Mode.NATIVE}
    (tables / "isa/Subject.csv").touch()
    assert eventually(lambda: ears.rids() == {"rows"})


def test_files_of_our_own_are_no_hints(watcher, ears, executions, tmp_path):
    watch(watcher, tmp_path)
    follow(watcher, executions / "1-A")
    assert eventually(lambda: ears.hints)
    ears.hints.clear()

    (executions / ".deriva-watch-probe").mkdir()
    (executions / "1-A/.deriva-watch-123").touch()
    (executions / "1-A/b").touch()

    assert eventually(lambda: ears.hints)
    assert ears.rids() == {"1-A"}


def test_a_storm_of_overflows_leaves_its_root_to_scans_for_a_while(watcher, ears, tmp_path):
    for name in ("loud", "quiet"):
        (tmp_path / name / "deriva-ml/execution").mkdir(parents=True)
        watch(watcher, tmp_path / name)

    for ears.now in (10.0, 20.0, 40.0):
        watcher._observer.emitter.heard[tmp_path / "loud"] += 1000
        watcher._observer.emitter.heard[tmp_path / "quiet"] += 1
        watcher._observer.handler.overflowed = True
        found = check(watcher)

    assert found.keys() == {tmp_path / "loud"}
    assert found[tmp_path / "loud"].mode is Mode.POLLING
    assert found[tmp_path / "loud"].why.startswith("the file system changed faster")
    (tmp_path / "quiet/deriva-ml/execution/1-Q").mkdir()
    assert eventually(lambda: ears.rids() == {"1-Q"})
    ears.now = 341.0
    assert modes(watcher) == {tmp_path / "loud": Mode.NATIVE}
    (tmp_path / "loud/deriva-ml/execution/1-L").mkdir()
    assert eventually(lambda: "1-L" in ears.rids())


def test_a_folder_that_may_not_be_read_hides_itself_only(watcher, ears):
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        prefix = Path(name)
        prefix.chmod(0o755)
        for folder in ("a", "b"):
            (prefix / "deriva-ml/execution/1-ABC" / folder).mkdir(parents=True)
            (prefix / "deriva-ml/execution/1-ABC" / folder).chmod(0)
        if user == 0:
            os.seteuid(65534)
        try:
            assert watch(watcher, prefix) is Mode.NATIVE
            watcher.follow(prefix, "1-ABC", prefix / "deriva-ml/execution/1-ABC")
        finally:
            os.seteuid(user)

        (prefix / "deriva-ml/execution/1-ABC/c").mkdir()

        assert eventually(lambda: ears.hints)
        check(watcher)
        assert ears.troubles == []


LIMITED = """
import json, os, sys
from pathlib import Path
from deriva_watch.edges.watching.watcher import Folder, Watcher
Path(f"/proc/sys/user/max_inotify_{sys.argv[2]}").write_text(sys.argv[3])
troubles = []
prefix = Path(sys.argv[1])
watcher = Watcher(print, lambda *trouble: troubles.append(trouble))
mode = watcher.watch(prefix, (Folder(prefix / "deriva-ml/execution"),)).mode
for directory in sorted(prefix.glob("deriva-ml/execution/*")):
    watcher.follow(prefix, directory.name, directory)
watcher.check(prefix)
watcher.repair()
watcher.repair()
watcher.stop()
print(json.dumps([mode, troubles]))
"""


def may_have_limits_of_its_own() -> bool:
    try:
        subprocess.run(["unshare", "-Ur", sys.executable, "-c", ""], check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return False
    return True


@pytest.mark.skipif(not may_have_limits_of_its_own(), reason="needs user namespaces")
@pytest.mark.parametrize(
    ("limit", "count", "mode"),
    [("watches", "3", "native"), ("watches", "0", "polling"), ("instances", "0", "polling")],
)
def test_limits_of_the_kernel_are_named_with_their_remedy(executions, tmp_path, limit, count, mode):
    """Also for folders below, where watchdog says nothing."""
    for number in range(10):
        (executions / f"1-{number}").mkdir()

    answer = subprocess.run(
        ["unshare", "-Ur", sys.executable, "-c", LIMITED, tmp_path, limit, count],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    found, troubles = json.loads(answer.stdout)
    assert found == mode
    assert [f"sysctl -w fs.inotify.max_user_{limit}" in why for _, why in troubles] == [True]


MORE_LATER = """
import sys
from pathlib import Path
from deriva_watch.edges.watching.watcher import Folder, Watcher
limit = Path("/proc/sys/user/max_inotify_watches")
limit.write_text("3")
folder, now = Path(sys.argv[1]), 0.0
watcher = Watcher(print, print, lambda: now)
watcher.watch(folder, (Folder(folder, "all"),), "native")
watcher.repair()
watcher.check(folder)
print(watcher.watches)
limit.write_text("100")
now = 61.0
watcher.check(folder)
print(watcher.watches)
watcher.stop()
"""


@pytest.mark.skipif(not may_have_limits_of_its_own(), reason="needs user namespaces")
def test_a_root_that_lacked_watches_gets_them_once_there_are_some(executions):
    for number in range(10):
        (executions / f"1-{number}").mkdir()

    answer = subprocess.run(
        ["unshare", "-Ur", sys.executable, "-c", MORE_LATER, executions],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    trouble, before, after = answer.stdout.splitlines()
    assert "there are no inotify watches left" in trouble
    assert (before, after) == ("3", "11")


def test_stopping_leaves_no_thread_and_may_be_repeated(ears, executions, tmp_path):
    assert executions.is_dir()
    before = set(threading.enumerate())
    watcher = Watcher(ears.hint, ears.trouble)
    watcher.stop()
    watch(watcher, tmp_path)

    watcher.stop()
    watcher.stop()

    assert not set(threading.enumerate()) - before


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /data rw - nfs4 server:/data rw
31 30 0:41 / /data/local rw shared:2 - xfs /dev/sdb rw
32 22 0:42 / /media/my\\040disk rw - fuse.sshfs host: rw
33 22 0:43 / /mnt/über rw - ext4 /dev/sdc rw
34 22 0:44 / /over rw - ext4 /dev/sdd rw
35 34 0:45 / /over rw - cifs //server/over rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/dana", "ext4"),
        ("/data", "nfs4"),
        ("/data/deriva-ml", "nfs4"),
        ("/database", "ext4"),
        ("/data/local/x", "xfs"),
        ("/media/my disk/x", "fuse.sshfs"),
        ("/mnt/über/x", "ext4"),
        ("/over/x", "cifs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(path, kind):
    assert file_system(Path(path), MOUNTS) == kind


@pytest.mark.parametrize(
    ("kind", "options", "stay"),
    [
        ("ext4", "rw", True),
        ("nfs4", "rw,vers=4.2", True),
        ("cifs", "rw,vers=3.1.1,serverino,mapposix", True),
        ("cifs", "rw,vers=3.1.1,mapposix", False),
        ("fuse.sshfs", "rw,user_id=0", False),
        ("fuse", "rw", False),
        ("fuseblk", "rw", True),
        ("vfat", "rw", False),
    ],
)
def test_made_up_inode_numbers_are_known_by_type_and_options(kind, options, stay):
    found = mount(Path("/data/x"), f"30 22 0:40 / /data rw shared:2 - {kind} source {options}\n")

    assert found == Mount(kind, options)
    assert found.inodes_stay is stay
