"""Nothing but the verified file is ever removed, whatever others do between two steps."""

import os
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from deriva_watch.core.completeness.observation import ASIDE_NAME
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.edges.disk import open_folders, removal
from deriva_watch.edges.disk.removal import Aside
from deriva_watch.edges.disk.restore import put_back
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.disk.scanning.scanner import scan
from running import deep_folders

KEPT = (FileChangedError, RefusedError)


def made(top, path="run/a.dcm", content=b"verified"):
    """Write a file below *top*; return it and what it was when it was uploaded."""
    file = top / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    found = file.stat()
    return Aside(top, path, (found.st_size, found.st_mtime_ns, found.st_ino))


def contents(top):
    """Return all that lies anywhere below *top*: contents by path; links are what they say."""
    return {
        str(path.relative_to(top)): bytes(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read(aside):
    with aside.body() as body:
        return body.read()


class Crash(BaseException):
    """The process has ended."""


def test_a_file_that_is_what_was_uploaded_is_removed_and_nothing_else(tmp_path):
    aside = made(tmp_path)
    made(tmp_path, "run/b.dcm", b"beside")

    with aside:
        assert read(aside) == b"verified"
        aside.unlink()

    assert contents(tmp_path) == {"run/b.dcm": b"beside"}
    assert names(tmp_path / "run") == ["b.dcm"]


def test_a_file_is_moved_with_its_folders_and_replaces_none(tmp_path):
    made(tmp_path, "uploaded/run/a.dcm", b"of last week")
    (tmp_path / "run").mkdir(mode=0o750)

    for content in (b"one", b"two"):
        with made(tmp_path, content=content) as aside:
            to = aside.move()

    assert to == "uploaded/run/a (3).dcm"
    assert contents(tmp_path) == {
        "uploaded/run/a.dcm": b"of last week",
        "uploaded/run/a (2).dcm": b"one",
        "uploaded/run/a (3).dcm": b"two",
    }


def test_folders_of_moved_files_belong_to_whom_they_belonged_to(tmp_path):
    aside = made(tmp_path, "one/two/a.dcm")
    (tmp_path / "one").chmod(0o2775)
    os.chown(tmp_path / "one/two", 1234, 2345)

    with aside:
        aside.move()

    assert (tmp_path / "uploaded/one").stat().st_mode & 0o7777 == 0o2775
    assert (tmp_path / "uploaded/one/two").stat()[4:6] == (1234, 2345)


def test_a_file_that_is_not_removed_is_back_where_it_was(tmp_path):
    with made(tmp_path) as aside:
        assert contents(tmp_path) == {f"run/{ASIDE_NAME}/a.dcm": b"verified"}
        assert scan(tmp_path / "run", ScanPolicy(tmp_path)).entries == {}

    assert aside.put_to == "run/a.dcm"
    assert contents(tmp_path) == {"run/a.dcm": b"verified"}
    assert names(tmp_path / "run") == ["a.dcm"]


# ------------------------------------------------------------------ attacks


def append(file):
    with file.open("ab") as more:
        more.write(b" more")


def rewrite_in_secret(file):
    found = file.stat()
    file.write_bytes(b"overlaid")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def replace_by_another(file):
    other = file.with_name("other")
    other.write_bytes(b"another!")
    other.replace(file)


def link_hard(file):
    os.link(file, file.parent / "second name")


def replace_by_a_link(file):
    file.rename(file.with_name("moved"))
    file.symlink_to("moved")


def replace_by_a_pipe(file):
    file.rename(file.with_name("moved"))
    os.mkfifo(file)


def delete(file):
    file.unlink()


def truncate(file):
    os.truncate(file, 3)


ATTACKS = [
    append,
    rewrite_in_secret,
    replace_by_another,
    link_hard,
    replace_by_a_link,
    replace_by_a_pipe,
    truncate,
]


@pytest.fixture
def _unleased(monkeypatch):
    """A file system that grants no lease: with one, who opens a file for writing has to wait."""
    monkeypatch.setattr(removal, "F_SETLEASE", -1)  # the kernel answers EINVAL


FINISH = pytest.mark.parametrize("finish", [Aside.unlink, Aside.move], ids=["delete", "move"])


@FINISH
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.usefixtures("_unleased")
def test_what_is_attacked_after_it_was_verified_stays_and_goes_back(tmp_path, attack, finish):
    with made(tmp_path) as aside:
        assert read(aside) == b"verified"
        attack(aside.folder / "a.dcm")
        left = sorted(contents(tmp_path).values())
        with pytest.raises(KEPT):
            finish(aside)

    assert sorted(contents(tmp_path).values()) == left
    assert "a.dcm" in names(tmp_path / "run")
    assert not (tmp_path / "uploaded/run/a.dcm").exists()


@pytest.mark.parametrize(
    "attack",
    [*(each for each in ATTACKS if each is not rewrite_in_secret), delete],
    ids=lambda attack: attack.__name__,
)
def test_what_was_attacked_before_is_not_even_set_aside(tmp_path, attack):
    aside = made(tmp_path)
    attack(tmp_path / "run/a.dcm")
    left = contents(tmp_path)

    with pytest.raises(KEPT), aside:
        raise AssertionError

    assert contents(tmp_path) == left


@pytest.mark.parametrize("late", [False, True])
def test_a_file_that_is_opened_for_writing_stays(tmp_path, late):
    """The kernel lets whoever opens it later wait until it is back."""
    made(tmp_path)
    file, aside = tmp_path / "run/a.dcm", made(tmp_path)
    with ExitStack() as stack:
        if not late:
            stack.enter_context(file.open("ab"))
            with pytest.raises(FileChangedError, match="is open for writing"):
                stack.enter_context(aside)
        else:
            stack.enter_context(aside)
            with pytest.raises(BlockingIOError):
                os.open(aside.folder / "a.dcm", os.O_WRONLY | os.O_NONBLOCK)
            with pytest.raises(FileChangedError, match="is open for writing"):
                aside.unlink()

    assert contents(tmp_path) == {"run/a.dcm": b"verified"}


@FINISH
def test_a_folder_that_is_exchanged_for_a_link_leads_nowhere(tmp_path, finish):
    """The same name outside is not touched, and the file stays in its folder."""
    top, outside = tmp_path / "drop", tmp_path / "outside"
    made(outside, "run/a.dcm", b"of others")

    with made(top) as aside:
        (top / "run").rename(top / "away")
        (top / "run").symlink_to(outside / "run")
        with pytest.raises(KEPT):
            finish(aside)

    assert contents(outside) == {"run/a.dcm": b"of others"}
    assert (top / "away/a.dcm").read_bytes() == b"verified"


def test_a_folder_that_is_moved_out_takes_its_files_along(tmp_path):
    top = tmp_path / "drop"

    with made(top) as aside:
        (top / "run").rename(tmp_path / "out")
        with pytest.raises(KEPT):
            aside.unlink()

    assert contents(tmp_path) == {"out/a.dcm": b"verified"}


@pytest.mark.parametrize("where", ["run", "uploaded", f"run/{ASIDE_NAME}"])
def test_links_in_place_of_folders_are_not_entered(tmp_path, where):
    top, outside = tmp_path / "drop", tmp_path / "outside"
    outside.mkdir()
    aside = made(top if where != "run" else outside)
    if where == "run":
        (top).mkdir()
        (top / "run").symlink_to(outside / "run")
        aside.top = top
    else:
        (top / where).symlink_to(outside)

    with pytest.raises(RefusedError), aside:
        aside.move()

    assert b"verified" in contents(tmp_path).values()
    assert not (outside / "a.dcm").exists()


def test_a_folder_of_that_name_that_others_may_enter_is_not_used(tmp_path):
    aside = made(tmp_path)
    (tmp_path / "run" / ASIDE_NAME).mkdir(mode=0o777)
    (tmp_path / "run" / ASIDE_NAME).chmod(0o777)

    with pytest.raises(RefusedError, match="other users may enter it"), aside:
        raise AssertionError

    assert contents(tmp_path) == {"run/a.dcm": b"verified"}


def test_both_files_are_kept_where_the_name_is_taken_meanwhile(tmp_path):
    with made(tmp_path) as aside:
        (tmp_path / "run/a.dcm").write_bytes(b"of today")

    assert aside.put_to == "run/a (2).dcm"
    assert contents(tmp_path) == {"run/a.dcm": b"of today", "run/a (2).dcm": b"verified"}


def test_a_name_of_the_longest_length_is_moved_and_kept_beside_another(tmp_path):
    name = "ä" * 125 + ".dicm"
    with made(tmp_path, name):
        (tmp_path / name).write_bytes(b"of today")

    assert set(contents(tmp_path).values()) == {b"of today", b"verified"}


# ------------------------------------------------------------------ the process dies


@contextmanager
def dying(aside):
    """Let the process die at the end of what is done with a file that is aside."""
    with suppress(Crash), aside:
        yield aside
        raise Crash


def test_a_process_that_dies_leaves_the_file_to_be_put_back(tmp_path):
    made(tmp_path, "uploaded/run/x")
    made(tmp_path, "b.dcm")
    with dying(made(tmp_path)) as aside:
        read(aside)

    assert contents(tmp_path)[f"run/{ASIDE_NAME}/a.dcm"] == b"verified"
    assert [(back.path, back.now) for back in put_back(tmp_path)] == [("run/a.dcm", "run/a.dcm")]
    assert sorted(contents(tmp_path)) == ["b.dcm", "run/a.dcm", "uploaded/run/x"]
    assert list(put_back(tmp_path)) == []


def test_folders_deeper_than_the_stack_keep_no_file_from_being_put_back(tmp_path):
    with dying(made(tmp_path)):
        pass
    with deep_folders(tmp_path, 1500):
        found = [(back.path, back.now) for back in put_back(tmp_path)]

    assert found == [("run/a.dcm", "run/a.dcm")]


def test_what_is_put_back_late_replaces_nothing(tmp_path):
    with dying(made(tmp_path, "a.dcm")):
        pass
    (tmp_path / "a.dcm").write_bytes(b"of today")

    assert [(back.path, back.now) for back in put_back(tmp_path)] == [("a.dcm", "a (2).dcm")]
    assert contents(tmp_path) == {"a.dcm": b"of today", "a (2).dcm": b"verified"}


def test_a_folder_aside_that_is_not_ours_is_said_and_left(tmp_path):
    made(tmp_path, f"run/{ASIDE_NAME}/a.dcm")

    (back,) = put_back(tmp_path)

    assert (back.path, back.now) == (f"run/{ASIDE_NAME}", None)
    assert "other users may enter it" in back.why
    assert contents(tmp_path) == {f"run/{ASIDE_NAME}/a.dcm": b"verified"}


# ------------------------------------------------------------------ file systems that can less


@pytest.fixture
def _plain(monkeypatch):
    """A file system that knows no RENAME_NOREPLACE."""
    monkeypatch.setattr(open_folders, "_NOREPLACE", 1 << 31)  # the kernel answers EINVAL


@pytest.mark.usefixtures("_plain")
def test_without_the_right_rename_nothing_is_replaced_either(tmp_path):
    made(tmp_path, "uploaded/run/a.dcm", b"of last week")

    with made(tmp_path) as aside:
        assert aside.move() == "uploaded/run/a (2).dcm"
    with made(tmp_path, "b.dcm", b"kept"):
        (tmp_path / "b.dcm").write_bytes(b"of today")

    assert contents(tmp_path) == {
        "uploaded/run/a.dcm": b"of last week",
        "uploaded/run/a (2).dcm": b"verified",
        "b.dcm": b"of today",
        "b (2).dcm": b"kept",
    }


@pytest.mark.usefixtures("_plain")
def test_a_rename_that_was_cut_in_two_is_finished(tmp_path):
    with dying(made(tmp_path, "a.dcm")) as aside:
        os.link(aside.folder / "a.dcm", tmp_path / "a.dcm")

    assert [(back.path, back.now) for back in put_back(tmp_path)] == [("a.dcm", "a.dcm")]
    assert contents(tmp_path) == {"a.dcm": b"verified"}
    assert (tmp_path / "a.dcm").stat().st_nlink == 1


def test_another_file_system_below_is_told_and_kept(tmp_path):
    """`uploaded` may be a mount; what can be had without rights is a link, refused all the same."""
    shared = Path("/dev/shm")
    if shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has one file system")
    made(tmp_path)
    source = os.open(tmp_path / "run", open_folders.FOLDER)
    target = os.open(shared, open_folders.FOLDER)

    with pytest.raises(OSError, match="cross-device"):
        open_folders.rename_new(source, "a.dcm", target)

    assert contents(tmp_path) == {"run/a.dcm": b"verified"}


@pytest.mark.usefixtures("_unleased")
def test_where_no_lease_is_granted_it_is_not_claimed_that_nobody_writes(tmp_path):
    with made(tmp_path) as aside:
        assert not aside.leased


def test_only_folders_that_are_empty_are_pruned_and_never_the_outermost(tmp_path):
    made(tmp_path, "run/one/two/x")
    made(tmp_path, "run/other/y")
    (tmp_path / "run/one/two/x").unlink()

    open_folders.prune(tmp_path, "run/one/two/x", above=0)

    assert names(tmp_path / "run") == ["other"]
    (tmp_path / "run/other/y").unlink()
    open_folders.prune(tmp_path, "run/other/y", above=1)
    assert names(tmp_path) == ["run"]
    open_folders.prune(tmp_path, "run/gone/y", above=0)
    assert names(tmp_path) == ["run"]


# ------------------------------------------------------------------ all at once


def write_words(top, said, seed, stop):
    """Append words to files, and begin new ones where there are none; note each that was said."""
    chance, number = Random(seed), 0
    while not stop.is_set():
        path, number = f"run/{chance.randrange(FILES)}.dcm", number + 1
        word = f"<{seed}.{number}>"
        with (top / path).open("a") as file:  # waits while there is a lease
            file.write(word)
        said.append(word)


FILES = 6
SECONDS = 20.0 if os.environ.get("SOAK") else 0.7


def test_nothing_that_writers_say_is_lost_while_files_are_removed_under_them(tmp_path):
    """What is removed is what was read; a word that comes meanwhile is found in some file."""
    said, stop, removed = [], threading.Event(), Counter()
    (tmp_path / "run").mkdir()
    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write_words, tmp_path, said, seed, stop) for seed in range(2)]
        ends_s = time.monotonic() + SECONDS
        gone = []
        # A busy machine needs longer for a few of both.
        while time.monotonic() < ends_s or min(removed["removed"] - 10, removed["kept"]) < 1:
            for file in [path for path in (tmp_path / "run").iterdir() if path.is_file()]:
                found = file.stat()
                stamp = found.st_size, found.st_mtime_ns, found.st_ino
                try:
                    with Aside(tmp_path, f"run/{file.name}", stamp) as aside:
                        content = read(aside)
                        aside.unlink()
                    gone.append(content.decode())
                    removed["removed"] += 1
                except KEPT:
                    removed["kept"] += 1
        stop.set()
        for writer in writers:
            writer.result()

    everything = "".join(
        [*gone, *(file.read_text() for file in (tmp_path / "run").rglob("*") if file.is_file())]
    )
    assert removed["removed"] > 10
    assert removed["kept"] > 0
    assert Counter(re.findall("<[^>]*>", everything)) == Counter(said)


def test_a_rename_that_is_said_to_have_failed_and_has_not_is_taken_back(tmp_path, monkeypatch):
    """As a network disk says of a request that it answered already."""
    rename = os.rename

    def unheard(*names, **folders):
        rename(*names, **folders)
        raise FileNotFoundError(2, "No such file or directory")

    aside = made(tmp_path)
    monkeypatch.setattr(removal.os, "rename", unheard)
    with pytest.raises(FileChangedError), aside:
        raise AssertionError

    assert contents(tmp_path) == {"run/a.dcm": b"verified"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make folders of other users")
@pytest.mark.parametrize("path", ["uploaded", "uploaded/run"])
def test_nothing_is_moved_into_a_folder_of_another_user(tmp_path, path):
    """Who may write to the drop folder could have made it to get hold of the files of others."""
    (tmp_path / path).mkdir(parents=True)
    os.chown(tmp_path / path, 20_002, 20_002)

    with pytest.raises(RefusedError, match="folder of user 20002"), made(tmp_path) as aside:
        aside.move()

    assert contents(tmp_path) == {"run/a.dcm": b"verified"}
