"""Whether a user can execute a program: what the kernel says of each is what modes tell."""

import subprocess
import tempfile
from pathlib import Path

import pytest

from deriva_watch.edges.host.programs import User, obstacle
from strangers import only_root

NOBODY = User.named("nobody")


@pytest.fixture
def folder():
    """A folder that all users can reach, with a script and the interpreter that it names."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        for each in ("opt/bin", "home/python/bin"):
            (folder / each).mkdir(parents=True)
        (folder / "home/python/bin/python3").symlink_to("python3.11")
        (folder / "home/python/bin/python3.11").write_bytes(Path("/bin/sh").read_bytes())
        (folder / "home/python/bin/python3.11").chmod(0o755)
        (folder / "opt/bin/python3").symlink_to("../../home/python/bin/python3")
        script(folder, f"#!{folder}/opt/bin/python3\n:\n")
        yield folder


def script(folder, text):
    (folder / "opt/bin/deriva-watch").write_text(text)
    (folder / "opt/bin/deriva-watch").chmod(0o755)


def runs(program):
    """Return whether nobody can execute a program, as the kernel says."""
    try:
        return subprocess.run([program], user="nobody", group=65534, check=False).returncode == 0
    except OSError:
        return False


def hide_home(folder):
    (folder / "home").chmod(0o700)


def hide_file(folder):
    (folder / "home/python/bin/python3.11").chmod(0o700)


def lose_link(folder):
    (folder / "home/python/bin/python3").unlink()


def lose_program(folder):
    (folder / "opt/bin/deriva-watch").unlink()


def circle(folder):
    (folder / "opt/bin/python3").unlink()
    (folder / "opt/bin/python3").symlink_to("python3")


@only_root
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda _: None, None),
        (hide_home, "nobody may not enter {}/home (mode 0700)"),
        (hide_file, "nobody may not execute {}/home/python/bin/python3.11 (mode 0700)"),
        (lose_link, "{}/home/python/bin/python3, which does not exist"),
        (lose_program, "{}/opt/bin/deriva-watch, which does not exist"),
        (circle, "too many links"),
    ],
)
def test_what_is_in_the_way_of_a_user_is_named(folder, change, why):
    change(folder)
    program = folder / "opt/bin/deriva-watch"

    told = obstacle(program, NOBODY)

    assert (told is None) == runs(program)
    assert told is None if why is None else why.format(folder) in told


@only_root
def test_the_interpreter_of_a_long_path_is_found(folder):
    script(folder, f"#!/bin/sh\n'''exec' \"{folder}/opt/bin/python3\" \"$0\" \"$@\"\n' '''\n")
    hide_home(folder)

    assert "may not enter" in obstacle(folder / "opt/bin/deriva-watch", NOBODY)


def test_what_the_service_does_not_see_is_in_the_way_of_everybody(folder):
    root = User("root", 0, ())

    assert obstacle(folder / "opt/bin/deriva-watch", root) is None
    told = obstacle(folder / "opt/bin/deriva-watch", root, (folder / "home",))
    assert f"leads into {folder}/home, which ProtectHome=" in told


def test_a_group_that_may_execute_it_counts(folder):
    (folder / "home").chmod(0o750)
    group = (folder / "home").stat().st_gid
    program = folder / "opt/bin/deriva-watch"

    assert obstacle(program, User("ann", 4_000_000, (group,))) is None
    assert "ann may not enter" in obstacle(program, User("ann", 4_000_000, ()))


def test_users_are_known_by_name_and_number():
    assert User.named("root") == User.named("0")
    assert User.named("root").number == 0
    assert User.named("no-such-user") is None
    assert User.named("4000000") is None
