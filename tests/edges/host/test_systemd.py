"""Word to systemd over a real socket, and the unit as systemd itself judges it."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from deriva_watch.daemon.supervisor import LOOK_S
from deriva_watch.edges.host.systemd import notify, watchdog_s

UNITS = Path(__file__).parents[3] / "systemd"
UNIT, TEMPLATE = UNITS / "deriva-watch.service", UNITS / "deriva-watch@.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """A socket in systemd's place."""
    address = (
        str(tmp_path / "notify") if request.param == "file" else f"@deriva-watch-{os.getpid()}"
    )
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0"))
        receiver.settimeout(1)
        yield receiver


def test_systemd_hears_all_states_in_one_message(manager):
    notify("READY=1", "STATUS=3 of 4 uploaded")

    assert manager.recv(1000) == b"READY=1\nSTATUS=3 of 4 uploaded"


def test_a_file_name_in_the_status_cannot_say_anything_else(manager):
    notify("STATUS=uploading a\nSTOPPING=1 \udcff")

    assert manager.recv(1000) == b"STATUS=uploading a STOPPING=1 \\udcff"


def test_without_systemd_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    notify("READY=1")


def test_a_socket_that_is_gone_stops_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))

    notify("READY=1")


def test_the_watchdog_is_fed_twice_in_its_time(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))

    assert watchdog_s() == 30


@pytest.mark.parametrize(("usec", "pid"), [("60000000", "1"), ("0", None), (None, None)])
def test_no_watchdog_waits_for_us(monkeypatch, usec, pid):
    """It is another process's, it is switched off, or there is none."""
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    assert watchdog_s() is None


@pytest.fixture(params=[UNIT, TEMPLATE], ids=["alone", "template"])
def unit(request, tmp_path):
    """A unit with a program that exists on every machine."""
    text = re.sub("(?<=\nExecStart=)[^ ]+", "/bin/true", request.param.read_text())
    file = tmp_path / request.param.name
    file.write_text(text)
    return file


def settings(unit):
    """Return the lines of a unit that systemd acts on."""
    return [line for line in unit.read_text().splitlines() if line and line[0] != "#"]


def analyze(*arguments):
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


@needs_systemd
def test_systemd_understands_every_line_of_the_unit(unit):
    """An unknown key is only a warning to systemd: it would be ignored without a word."""
    verdict = analyze("verify", "--man=no", unit)

    assert verdict.returncode == 0, verdict.stderr
    assert "deriva-watch" not in verdict.stderr


@needs_systemd
def test_the_unit_has_least_rights(unit):
    """The exposure is 1.6 of 10; 0.2 of it: a child of the main process may notify systemd."""
    verdict = analyze("security", "--no-pager", "--offline=yes", "--threshold=16", unit)

    assert verdict.returncode == 0, verdict.stdout


@needs_systemd
def test_what_the_docs_add_for_data_of_others_is_understood_and_costs_what_it_says(tmp_path):
    page = (UNITS.parent / "docs" / "operations.md").read_text()
    lines = page.partition("```ini\n[Service]\n")[2].partition("```")[0].splitlines()
    added = [line.removeprefix("#") for line in lines if not line.startswith("# ")]
    text = re.sub("(?<=\nExecStart=)[^ ]+", "/bin/true", UNIT.read_text())
    unit = tmp_path / UNIT.name
    unit.write_text(text + "\n".join(["[Service]", *added, ""]))

    assert len(added) == 6
    verdict = analyze("verify", "--man=no", unit)
    assert (verdict.returncode, verdict.stderr) == (0, "")
    said = re.search("exposure (1.\\d)", "".join(lines))[1]
    threshold = said.replace(".", "")
    assert analyze("security", "--offline=yes", f"--threshold={threshold}", unit).returncode == 0


def test_the_units_differ_in_nothing_but_names():
    """There is no include; so two files must be kept alike."""
    alone, template = settings(UNIT), settings(TEMPLATE)

    named = [line for line in template if "%i" in line]
    assert [line.partition("=")[0] for line in named] == [
        "Description", "ExecStart", "StateDirectory", "Environment", "RuntimeDirectory",
        "LoadCredential",
    ]  # fmt: skip
    as_one = [
        line.replace(" (%i)", "").replace("/%i.json", "/credential.json") for line in template
    ]
    as_one = [line.replace("/%i.toml", "/config.toml").replace("/%i", "") for line in as_one]
    assert as_one == alone


def test_the_unit_allows_the_calls_by_which_idle_work_lowers_its_priority():
    """Both are among the @resources that it forbids."""
    (allowed,) = [line for line in settings(UNIT) if "sched_setscheduler" in line]

    assert allowed == "SystemCallFilter=sched_setscheduler setpriority"


def test_the_watchdog_waits_for_several_looks_of_the_supervisor():
    (given,) = [line for line in settings(UNIT) if line.startswith("WatchdogSec=")]

    assert float(given.removeprefix("WatchdogSec=").removesuffix("s")) >= 4 * LOOK_S


def test_the_unit_restarts_unless_a_person_must_act():
    """2: the settings are wrong; 11: another instance holds the journal; 143, 130: asked for."""
    lines = UNIT.read_text().splitlines()

    assert "Restart=on-failure" in lines
    assert "RestartPreventExitStatus=2 11" in lines
    assert "SuccessExitStatus=143 130" in lines
