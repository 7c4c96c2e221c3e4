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

from deriva_watch.edges.mounts import file_system
from deriva_watch.edges.watcher import Mode, Watcher

DEADLINE_S = 10


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
    watcher = Watcher(ears.hint, ears.trouble, clock=lambda: ears.now)
    yield watcher
    watcher.stop()


@pytest.fixture
def executions(tmp_path):
    folder = tmp_path / "deriva-ml/execution"
    folder.mkdir(parents=True)
    return folder


def eventually(condition: Callable[[], object]) -> bool:
    until = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_a_file_in_an_execution_directory_is_a_hint(watcher, ears, executions, tmp_path):
    assert watcher.watch(tmp_path) is Mode.NATIVE

    (executions / "1-ABC/assets/Image").mkdir(parents=True)
    (executions / "1-ABC/assets/Image/a.png").write_text("x")

    assert eventually(lambda: (tmp_path, "1-ABC") in ears.hints)
    assert ears.rids() == {"1-ABC"}


def test_closing_deleting_and_moving_are_hints(watcher, ears, executions, tmp_path):
    path = executions / "1-A/a.png"
    path.parent.mkdir()
    (executions / "1-B").mkdir()
    path.write_text("x")
    moved = executions / "1-A/b.png"
    watcher.watch(tmp_path)

    for change in (lambda: path.write_text("y"), lambda: path.rename(moved), moved.unlink):
        ears.hints.clear()
        change()
        assert eventually(lambda: ears.rids() == {"1-A"})


def test_moving_between_executions_is_a_hint_for_both(watcher, ears, executions, tmp_path):
    for rid in ("1-A", "1-B"):
        (executions / rid).mkdir()
    (executions / "1-A/a.png").write_text("x")
    watcher.watch(tmp_path)

    (executions / "1-A/a.png").rename(executions / "1-B/a.png")

    assert eventually(lambda: ears.rids() == {"1-A", "1-B"})


def test_what_is_no_execution_is_no_hint(watcher, ears, executions, tmp_path):
    watcher.watch(tmp_path)

    (tmp_path / "deriva-ml/table").mkdir()
    (tmp_path / "catalogs").mkdir()
    (executions / "1-ABC").mkdir()

    assert eventually(lambda: ears.hints)
    assert ears.rids() == {"1-ABC"}


def test_a_prefix_may_be_reached_by_a_link(watcher, ears, executions, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    watcher.watch(tmp_path / "link")

    (executions / "1-ABC").mkdir()

    assert eventually(lambda: (tmp_path / "link", "1-ABC") in ears.hints)


def test_many_prefixes_are_told_apart(watcher, ears, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "deriva-ml/execution").mkdir(parents=True)
        watcher.watch(tmp_path / name)

    (tmp_path / "two/deriva-ml/execution/1-ABC").mkdir()

    assert eventually(lambda: ears.hints)
    assert set(ears.hints) == {(tmp_path / "two", "1-ABC")}


def test_a_prefix_that_is_not_there_yet_is_watched_when_it_comes(watcher, ears, tmp_path):
    prefix = tmp_path / "later"
    assert watcher.watch(prefix) is Mode.MISSING
    assert watcher.check() == {}

    (prefix / "deriva-ml/execution").mkdir(parents=True)

    assert watcher.check() == {prefix: Mode.NATIVE}
    (prefix / "deriva-ml/execution/1-ABC").mkdir()
    assert eventually(lambda: ears.hints)


def test_a_root_that_goes_and_comes_is_watched_again(watcher, ears, executions, tmp_path):
    watcher.watch(tmp_path)

    shutil.rmtree(tmp_path / "deriva-ml")
    assert watcher.check() == {tmp_path: Mode.MISSING}
    executions.mkdir(parents=True)
    assert watcher.check() == {tmp_path: Mode.NATIVE}
    ears.hints.clear()
    (executions / "1-ABC").mkdir()

    assert eventually(lambda: ears.rids() == {"1-ABC"})
    assert ears.troubles == []


def test_a_root_that_was_replaced_is_watched_anew(watcher, ears, executions, tmp_path):
    """The kernel says nothing, and would go on telling of the old folder."""
    watcher.watch(tmp_path)
    (tmp_path / "deriva-ml").rename(tmp_path / "old")
    executions.mkdir(parents=True)

    assert watcher.check() == {tmp_path: Mode.NATIVE}
    (tmp_path / "old/execution/1-OLD").mkdir()
    (executions / "1-NEW").mkdir()

    assert eventually(lambda: ears.hints)
    assert ears.rids() == {"1-NEW"}


def test_polling_needs_no_threads(watcher, executions, tmp_path):
    threads = threading.active_count()

    assert watcher.watch(tmp_path, "polling") is Mode.POLLING

    assert threading.active_count() == threads
    assert watcher.check() == {}
    executions.rmdir()
    assert watcher.check() == {tmp_path: Mode.MISSING}


def test_a_failing_listener_does_not_stop_the_hints(ears, executions, tmp_path):
    def listen(prefix: Path, rid: str) -> None:
        ears.hint(prefix, rid)
        if rid == "1-BAD":
            raise ValueError(rid)

    watcher = Watcher(listen, ears.trouble, clock=lambda: ears.now)
    watcher.watch(tmp_path)

    (executions / "1-BAD").mkdir()
    (executions / "1-GOOD").mkdir()

    assert eventually(lambda: "1-GOOD" in ears.rids())
    watcher.check()
    assert ears.troubles == [(None, "a hint could not be taken: ValueError('1-BAD')")]
    watcher.stop()


def overflow(watcher: Watcher, folder: Path) -> None:
    """Let events come while nobody reads them."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    observer = watcher._observer
    with observer.inotify._lock:
        for number in range(limit // 2):  # three events each; the reader takes one buffer full
            (folder / f"{number}").touch()
            (folder / f"{number}").unlink()
    assert eventually(lambda: observer.inotify.overflowed)


def test_an_overflow_is_trouble_and_hints_go_on(watcher, ears, executions, tmp_path):
    (executions / "1-A").mkdir()
    watcher.watch(tmp_path)

    overflow(watcher, executions / "1-A")

    assert watcher.check() == {}
    assert ears.troubles == [(None, "the file system changed faster than its events could be read")]
    ears.hints.clear()
    (executions / "1-B").mkdir()
    assert eventually(lambda: ears.rids() == {"1-B"})


def test_what_breaks_again_and_again_is_mended_now_and_then(watcher, ears, executions, tmp_path):
    assert executions.is_dir()
    watcher.watch(tmp_path)
    for ears.now in (100.0, 101.0, 109.0, 111.0):
        watcher._observer.inotify.overflowed = True
        watcher.check()

    assert len(ears.troubles) == 2


def test_a_thread_that_died_is_replaced(watcher, ears, executions, tmp_path):
    watcher.watch(tmp_path)
    for emitter in set(watcher._observer.emitters):
        emitter.stop()
        emitter.join()

    watcher.check()

    assert ears.troubles == [(None, "a thread that watches the file system died")]
    (executions / "1-ABC").mkdir()
    assert eventually(lambda: ears.hints)


def test_deep_trees_made_at_once_cost_no_warnings(watcher, ears, executions, tmp_path):
    """Watches are added twice then; a warning would be an error here and end a thread."""
    watcher.watch(tmp_path)

    for number in range(200):
        (executions / f"1-{number}/a/b/c/d/e/f/g").mkdir(parents=True)

    assert eventually(lambda: len(ears.rids()) == 200)
    watcher.check()
    assert ears.troubles == []


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
            assert watcher.watch(prefix) is Mode.NATIVE
        finally:
            os.seteuid(user)

        (prefix / "deriva-ml/execution/1-ABC/c").mkdir()

        assert eventually(lambda: ears.hints)
        watcher.check()
        assert ears.troubles == []


LIMITED = """
import json, os, sys
from pathlib import Path
from deriva_watch.edges.mounts import file_system
from deriva_watch.edges.watcher import Watcher
Path(f"/proc/sys/user/max_inotify_{sys.argv[2]}").write_text(sys.argv[3])
troubles = []
watcher = Watcher(print, lambda *trouble: troubles.append(trouble))
mode = watcher.watch(Path(sys.argv[1]))
watcher.check()
watcher.check()
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


def test_stopping_leaves_no_thread_and_may_be_repeated(ears, executions, tmp_path):
    assert executions.is_dir()
    threads = threading.active_count()
    watcher = Watcher(ears.hint, ears.trouble)
    watcher.stop()
    watcher.watch(tmp_path)

    watcher.stop()
    watcher.stop()

    assert threading.active_count() == threads


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
