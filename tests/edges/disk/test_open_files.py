"""Who has files open for writing, as this host tells it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deriva_watch.core.completeness.observation import (
    Entry,
    HolderMethod,
    Holders,
    Kind,
    Observation,
)
from deriva_watch.edges.disk.open_files import holders

STRANGER = 65534
LOOK = """
import json, sys
from pathlib import Path
from deriva_watch.edges.disk.open_files import holders, method
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.disk.scanning.scanner import scan
root = Path(sys.argv[1])
(found,) = holders([scan(root, ScanPolicy(root))]).values()
print(json.dumps([method(), found.method, sorted(found.open)]))
"""
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


def every_process_is_readable() -> bool:
    try:
        Path("/proc/1/fd/0").readlink()
    except OSError:
        return False
    return str(Path("/proc/self/ns/pid").readlink()) == "pid:[4026531836]"


def look(root: Path, **targets: Path) -> Observation:
    """Return a look at the files of *root*; *targets* are links by name."""
    entries = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        found = path.stat()
        entries[name] = Entry(
            name, found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino,
            target=str(targets[name]) if name in targets else None,
            kind=Kind.CONTENT if path.is_file() else Kind.UNUSABLE,
        )  # fmt: skip
    return Observation(str(root), entries, datetime(2026, 1, 1, tzinfo=UTC), {})


@contextmanager
def somebody(path: Path, redirection: str = ">>") -> Iterator[None]:
    """Let another process have *path* open."""
    script = f'exec 3{redirection}"$1"; echo ready; read _'
    with subprocess.Popen(
        ["sh", "-c", script, "sh", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        yield
        process.communicate(b"\n")


@contextmanager
def as_stranger(*owned: Path) -> Iterator[None]:
    """Be another user, who owns the given files."""
    for path in owned:
        os.chown(path, STRANGER, STRANGER)
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


def found(*looks: Observation) -> list[set[str]]:
    answers = holders(looks)
    return [set(answers[look.root].open) for look in looks]


@pytest.fixture
def root():
    """A folder that other users can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


@pytest.fixture
def path(root):
    path = root / "assets" / "a.png"
    path.parent.mkdir()
    path.write_text("x")
    return path


def test_nobody_holds_a_file_that_was_closed(path):
    assert found(look(path.parent)) == [set()]


@pytest.mark.parametrize("redirection", [">>", "<>"])
def test_who_writes_is_found(path, root, redirection):
    with somebody(path, redirection):
        assert found(look(root)) == [{"assets/a.png"}]


def test_who_only_reads_holds_nothing(path, root):
    with somebody(path, "<"):
        assert found(look(root)) == [set()]


def test_we_ourselves_hold_nothing(path, root):
    with path.open("r"):
        assert found(look(root)) == [set()]


def test_a_file_that_the_look_has_not_seen_is_found(path):
    seen = look(path.parent)

    with somebody(path.parent / "new.png"):
        assert found(seen) == [{"new.png"}]


def test_a_file_that_was_deleted_holds_nothing(path, root):
    with somebody(path):
        path.unlink()

        assert found(look(root)) == [set()]


def test_whoever_writes_to_the_target_of_a_link_is_found(path, root):
    execution = root / "execution"
    execution.mkdir()
    (execution / "linked").symlink_to(path)

    with somebody(path):
        assert found(look(execution, linked=path)) == [{"linked"}]


def test_a_link_on_the_way_to_the_root_changes_nothing(path, root):
    (root / "root").symlink_to(path.parent)

    with somebody(path.parent / "new.png"):
        assert found(look(root / "root")) == [{"new.png"}]


def test_one_pass_answers_for_many_roots(path, root):
    other = root / "assets2"
    other.mkdir()
    (other / "b.png").write_text("x")

    with somebody(path), somebody(other / "b.png"):
        assert found(look(path.parent), look(other)) == [{"a.png"}, {"b.png"}]


def test_no_roots_are_no_answers():
    assert holders([]) == {}


@pytest.mark.skipif(not every_process_is_readable(), reason="not every process is readable")
def test_where_every_process_can_be_read_no_lease_is_asked_for(root):
    os.mkfifo(root / "pipe")

    assert holders([look(root)]) == {str(root): Holders(frozenset(), HolderMethod.PROC)}


@only_root
def test_where_processes_cannot_be_read_the_kernel_is_asked(path, root):
    """The holder is a process of root, the file is our own."""
    with somebody(path), as_stranger(path):
        (answer,) = holders([look(root)]).values()

    assert answer == Holders(frozenset({"assets/a.png"}), HolderMethod.LEASE)


@only_root
@only_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize(("rights", "method"), [("-all,+lease", "lease"), ("-all", "unknown")])
def test_what_the_unit_gives_is_enough_for_files_of_others(tmp_path, rights, method):
    """The right to take leases, and no other."""
    path = tmp_path / "theirs"
    path.touch()
    os.chown(path, STRANGER, STRANGER)
    line = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]

    with somebody(path):
        said = subprocess.run(
            [*line, sys.executable, "-c", LOOK, tmp_path],
            capture_output=True,
            text=True,
            check=True,
        )

    open_files = ["theirs"] if method == "lease" else []
    assert json.loads(said.stdout) == [method, method, open_files]


def test_a_lease_is_released_at_once(path, root):
    with as_stranger(path):
        (answer,) = holders([look(root)]).values()
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # EWOULDBLOCK under a lease
        os.close(descriptor)

    assert answer == Holders(frozenset(), HolderMethod.LEASE)


@only_root
def test_files_of_others_leave_it_unknown(path, root):
    (root / "theirs.png").write_text("x")

    with as_stranger(path):
        (answer,) = holders([look(root)]).values()

    assert answer == Holders(frozenset(), HolderMethod.UNKNOWN)
