"""What this machine says of itself, as `/proc` and `/etc` have it."""

from pathlib import Path

import pytest

from deriva_watch.edges.host import machine

HOST = "pid:[4026531836]"


@pytest.fixture
def proc(tmp_path):
    """Return a machine on which nothing runs but init and a shell."""
    for number, name in ((1, "systemd"), (42, "bash")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(f"{name}\n")
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to(HOST)
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("b-1\n")
    (tmp_path / "machine-id").write_text("m-1\n")
    return tmp_path


def test_a_start_has_the_name_of_its_machine(proc):
    assert machine.start(proc, proc) == "m-1/b-1"


@pytest.mark.parametrize("file", ["machine-id", "sys/kernel/random/boot_id"])
def test_what_it_does_not_say_is_not_made_up(proc, file):
    (proc / file).unlink()

    assert machine.start(proc, proc) is None


def test_this_machine_stays_the_same_between_two_questions():
    assert machine.start() == machine.start()
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() in (machine.start() or "")


def test_a_machine_is_its_own_until_it_serves_files(proc):
    assert not machine.is_shared(proc)

    (proc / "42/comm").write_text("nfsd\n")

    assert machine.is_shared(proc)


def test_where_not_every_process_can_be_seen_it_counts_as_shared(proc):
    (proc / "self/ns/pid").unlink()
    (proc / "self/ns/pid").symlink_to("pid:[1]")
    assert machine.is_shared(proc)

    (proc / "self/ns/pid").unlink()
    (proc / "self/ns/pid").symlink_to(HOST)
    (proc / "1/comm").unlink()
    assert machine.is_shared(proc)


def test_a_process_that_ends_meanwhile_is_none(proc):
    (proc / "42/comm").unlink()

    assert not machine.is_shared(proc)
