"""`deriva-watch check`: journal, disk, service and status page, each by its real cause."""

import errno
import os
import socket
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from deriva_watch.commands.check import state as state_of_disk
from deriva_watch.edges.host import healthz
from deriva_watch.edges.journal import Journal
from running import daemon, wait_until, write_config


@pytest.fixture
def config(tmp_path, ready, data):
    return partial(write_config, tmp_path / "settings", ready, data)


@pytest.fixture
def state(tmp_path):
    return tmp_path / "settings/state"


@pytest.fixture
def journal(state):
    """A sound journal that nobody has."""
    Journal.open(f"sqlite:///{state}/journal.db", emit=lambda _: None).close()
    return state / "journal.db"


def set_revision(journal, revision):
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])


def test_a_journal_that_is_damaged_is_told(found, data, journal):
    with journal.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)

    status, lines = found(data)

    assert status == 2
    assert "damaged" in lines["journal"]["why"]


def test_a_journal_of_a_newer_release_is_told(found, data, journal):
    set_revision(journal, "9999")

    status, lines = found(data)

    assert status == 2
    assert "newer deriva-watch" in lines["journal"]["why"]


def test_a_journal_in_use_is_sound_and_names_its_daemon(found, data, state):
    with Journal.open(f"sqlite:///{state}/journal.db", emit=lambda _: None):
        status, lines = found(data)

    line = lines["journal"]
    assert status == 0
    assert line["facts"]["held_by"] == os.getpid()


def test_a_journal_of_an_older_release_is_brought_up_to_date_by_the_daemon(found, data, journal):
    set_revision(journal, "0000")

    status, lines = found(data)

    assert status == 0
    assert lines["journal"]["verdict"] == "note"


def test_a_journal_where_no_folder_can_be_is_told(found, data, tmp_path):
    (tmp_path / "file").touch()

    status, lines = found(data, journal={"url": f"sqlite:///{tmp_path}/file/journal.db"})

    assert status == 2
    assert lines["disk"]["why"] == f"{tmp_path}/file is not a folder"
    assert lines["status page"]["good"]


def test_what_cannot_be_looked_at_hides_nothing(found, data, monkeypatch):
    def broken(folder):
        raise OSError(errno.EIO, "Input/output error", str(folder))

    monkeypatch.setattr(state_of_disk.shutil, "disk_usage", broken)

    status, lines = found(data)

    assert status == 2
    assert lines["disk"]["what"] == "cannot be checked"
    assert lines["status page"]["good"]


def test_no_journal_yet_is_no_trouble(found, data, state):
    status, lines = found(data)

    assert status == 0
    assert lines["journal"]["facts"]["revision"] is None
    assert not state.exists()


def test_a_disk_that_other_machines_write_to_holds_no_journal(found, data, monkeypatch):
    monkeypatch.setattr(state_of_disk.mounts, "file_system", lambda _: "nfs4")

    status, lines = found(data)

    assert status == 2
    assert "[journal] url" in lines["disk"]["next"]


# ---------------------------------------------------------------------- service


@pytest.fixture
def unit(tmp_path, monkeypatch):
    """Return a function that installs a unit file, and drop-ins, below a folder of systemd."""
    folder = tmp_path / "systemd"
    folder.mkdir()
    monkeypatch.setattr("deriva_watch.edges.host.systemd.FOLDERS", (folder,))

    def install(name, *lines, drop_in=()):
        (folder / name).write_text("[Service]\n" + "\n".join(lines))
        if drop_in:
            (folder / f"{name}.d").mkdir()
            (folder / f"{name}.d/local.conf").write_text("[Service]\n" + "\n".join(drop_in))

    return install


def test_without_a_service_that_is_told_and_nothing_is_wrong(found, data, unit):
    unit("deriva-watch.service", "ExecStart=deriva-watch run --config /etc/other.toml")

    status, lines = found(data)

    assert status == 0
    assert lines["systemd"]["verdict"] == "note"


@pytest.mark.parametrize("name", ["deriva-watch.service", "deriva-watch@.service"])
def test_the_service_of_these_settings_is_known_by_its_unit_file(found, data, tmp_path, unit, name):
    config = f"{tmp_path}/settings/{'%i' if '@' in name else 'config'}.toml"
    unit(name, "# ExecStart=nothing", f"ExecStart=/opt/deriva-watch run \\\n  --config {config}")

    _, lines = found(data)

    called = "deriva-watch@config" if "@" in name else "deriva-watch"
    assert lines["systemd"]["what"].startswith(f"{called}: ")
    assert lines["systemd"]["facts"]["user"] == "root"


@pytest.mark.parametrize(
    "case",
    [
        (["User=no-such-user"], "there is no user no-such-user"),
        (["ProtectHome=yes"], "which ProtectHome= of the service hides"),
        (["ProtectHome=tmpfs", "BindPaths=-/root/data:/root/lab"], None),
        (["ProtectHome=read-only"], None),
    ],
)
def test_a_service_that_cannot_execute_its_program_is_told(found, data, tmp_path, unit, case):
    lines, why = case
    program = tmp_path / "deriva-watch"
    program.symlink_to("/root/../bin/sh")
    unit(
        "deriva-watch.service",
        f"ExecStart={program} run --config {tmp_path}/settings/config.toml",
        *lines,
    )

    status, found_lines = found(data)

    line = found_lines["systemd"]
    assert (status, line["verdict"] == "wrong") == ((2, True) if why else (0, False))
    if why:
        assert why in line["why"]
        assert "ExecStart= of the unit" in line["next"]


def test_the_credential_that_the_service_gets_is_looked_at(found, data, tmp_path, ready, unit):
    copied = tmp_path / "service.json"
    copied.write_bytes(Path(ready["writer_credential_file"]).read_bytes())
    copied.chmod(0o600)
    unit(
        "deriva-watch.service",
        f"ExecStart=deriva-watch run --config {tmp_path}/settings/config.toml",
        "User=daemon",
        "LoadCredential=credential.json:/nowhere",
        drop_in=["LoadCredential=", f"LoadCredential=credential.json:{copied}"],
    )

    status, lines = found(data, server={"credential_file": None})

    assert status == 0
    assert lines["credential"]["facts"] == {"file": str(copied), "origin": "systemd"}
    assert "restart the service" in lines["credential"]["what"]
    assert "sandbox-writer" in lines["login"]["what"]
    assert "runuser -u daemon" in lines["systemd"]["next"]


# ---------------------------------------------------------------------- status page


@pytest.fixture
def port():
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_free_place_for_the_page_is_good(found, data, port):
    status, lines = found(data, status={"listen": f"127.0.0.1:{port}"})

    assert status == 0
    assert "free" in lines["status page"]["what"]


def test_another_program_at_the_place_of_the_page_is_told(found, data, ready):
    status, lines = found(data, status={"listen": ready["host"]})  # the sandbox is there

    assert status == 2
    assert "another program" in lines["status page"]["why"]


@pytest.mark.parametrize("place", ["127.0.0.1:{port}", "unix:{folder}/page.sock"])
def test_the_page_of_a_running_daemon_is_asked_how_it_is(found, data, config, port, place):
    listen = place.format(port=port, folder=data)
    sections = {"status": {"listen": listen}}
    with daemon(config(**sections)) as running:
        wait_until(lambda: healthz.ask(listen))
        status, lines = found(data, **sections)

    assert status == 0
    assert lines["status page"]["facts"]["daemon"] == running.pid
    assert lines["status page"]["what"] == f"served at {listen}; the daemon is healthy"


def test_a_daemon_that_serves_no_page_is_told(found, data, config, port):
    with daemon(config()):
        status, lines = found(data, status={"listen": f"127.0.0.1:{port}"})

    assert status == 2
    assert "does not listen there" in lines["status page"]["why"]
