"""`deriva-watch init`: answers that are checked at once, and the file that comes of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deriva_watch.cli import main
from deriva_watch.commands import init as written
from deriva_watch.commands.init import Answers
from deriva_watch.settings.model import load


@pytest.fixture
def config(tmp_path):
    return tmp_path / "etc/config.toml"


@pytest.fixture
def init(capfd, monkeypatch, config):
    """Run the command here, where no terminal is; return its status and what it said."""

    def run_here(*arguments):
        words = ["init", "--config", str(config), *map(str, arguments)]
        monkeypatch.setattr("sys.argv", ["deriva-watch", *words])
        capfd.readouterr()
        with Path(os.devnull).open() as nobody:
            monkeypatch.setattr("sys.stdin", nobody)
            with pytest.raises(SystemExit) as ended:
                main()
        said = capfd.readouterr()
        return int(ended.value.code), said.out + said.err

    return run_here


@pytest.fixture
def right(ready, data):
    """Options that nothing can be said against."""
    return [
        *("--host", ready["host"], "--catalog", ready["catalog"]),
        *("--credential-file", ready["writer_credential_file"], "--prefix", data),
    ]


def test_what_is_right_becomes_a_file_that_explains_every_other_setting(
    init, right, ready, data, config
):
    status, said = init(*right)

    found = load(config)
    assert status == 0
    assert (found.server.host, found.server.catalog) == (ready["host"], ready["catalog"])
    assert str(found.server.credential_file) == ready["writer_credential_file"]
    assert [watch.prefix for watch in found.watch] == [data]
    assert f"deriva-watch check --config {config}" in said
    assert "#quiet_s = 30" in config.read_text()
    assert '#url = "sqlite:' in config.read_text()
    assert "data.example.org\n" not in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_stays(init, right, config):
    config.parent.mkdir()
    config.write_text("# mine")

    status, said = init(*right)

    assert status == 2
    assert "--force" in said
    assert config.read_text() == "# mine"
    assert init(*right, "--force")[0] == 0
    assert load(config).watch
    assert list(config.parent.iterdir()) == [config]


def test_two_at_once_write_one_file(config):
    """The other one came between the look at the file and its writing."""
    written.write("first", config, force=False)

    with pytest.raises(written.SettingsError):
        written.write("second", config, force=False)

    assert config.read_text() == "first"
    assert list(config.parent.iterdir()) == [config]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--host", "https://data.example.org/", 2, "must be only the host name"),
        ("--host", "127.0.0.1:1", 10, "does not answer"),
        ("--catalog", "77", 2, "found nothing at this address"),
        ("--credential-file", "/nowhere.json", 2, "there is no /nowhere.json"),
        ("--prefix", "/nowhere", 2, "mkdir -p /nowhere/deriva-ml/execution"),
        ("--prefix", "/no\udcffwhere", 2, "cannot hold"),
        ("--ca-bundle", "/nowhere.pem", 2, "is not a file"),
    ],
)
def test_an_answer_that_is_wrong_ends_it_with_the_reason(init, right, config, wrong):
    *option, status, said = wrong

    ended, told = init(*right, *option)

    assert ended == status, told
    assert said in told
    assert not config.exists()


@pytest.mark.parametrize("option", ["--host", "--prefix"])
def test_without_a_terminal_what_is_missing_is_named(init, right, option):
    at = right.index(option)

    status, said = init(*right[:at], *right[at + 2 :], "--json")

    assert status == 2
    assert json.loads(said.partition("\n}\n")[0] + "\n}")["error"]["what"] == f"{option} is missing"


def test_programs_get_the_file_what_was_found_and_what_comes_next(init, right, config):
    status, said = init(*right, "--json")

    document = json.loads(said)
    assert status == 0
    assert document["config"] == str(config)
    assert {each["part"] for each in document["checks"]} == {"server", "login", "catalog", "roots"}
    assert all(each["good"] for each in document["checks"])


def test_at_a_terminal_it_asks_until_the_answer_is_right(ready, data, config):
    answers = [
        "127.0.0.1:1",  # nobody is there
        ready["host"],
        ready["writer_credential_file"],  # there is no login of deriva's own
        "77",  # no such catalog
        "",  # the catalog that is proposed
        "/nowhere",
        str(data),
    ]
    ours, theirs = os.openpty()
    os.write(ours, "".join(f"{each}\n" for each in answers).encode())
    line = [sys.executable, "-m", "deriva_watch", "init", "--config", str(config)]
    home = {**os.environ, "HOME": str(config.parent.parent)}
    done = subprocess.run(
        line, stdin=theirs, capture_output=True, text=True, timeout=60, check=False, env=home
    )
    os.close(ours)
    os.close(theirs)

    assert done.returncode == 0, done.stdout + done.stderr
    assert load(config).watch[0].prefix == data
    assert load(config).server.catalog == "1"
    for told in (
        "127.0.0.1:1 does not answer",
        "found nothing at this address",
        "cannot be watched",
    ):
        assert told in done.stdout


def test_the_end_of_the_input_ends_it_and_writes_nothing(config):
    ours, theirs = os.openpty()
    os.write(ours, b"\x04")
    line = [sys.executable, "-m", "deriva_watch", "init", "--config", str(config)]
    done = subprocess.run(
        line, stdin=theirs, capture_output=True, timeout=60, check=False, env=os.environ
    )
    os.close(ours)
    os.close(theirs)

    assert done.returncode == 130
    assert b"bug" not in done.stderr
    assert not config.exists()


def test_every_folder_that_is_named_is_watched(config):
    folders = (Path("/data"), Path('/scratch/"odd"'), Path("/home/*/work"))
    written.write(written.text_of(Answers("h", prefixes=folders), config), config, force=False)

    assert tuple(watch.prefix for watch in load(config).watch) == folders


@pytest.mark.skipif(os.geteuid() != 0, reason="writes as root does")
@pytest.mark.parametrize(
    ("name", "service", "state"),
    [
        ("config.toml", "deriva-watch", "/var/lib/deriva-watch"),
        ("lab.toml", "deriva-watch@lab", "/var/lib/deriva-watch/lab"),
    ],
)
def test_settings_of_a_service_name_its_journal_and_can_be_read_by_its_group(
    config, monkeypatch, name, service, state
):
    """Commands at a shell, which has no $STATE_DIRECTORY, find the journal that the unit has."""
    monkeypatch.setattr(written, "SERVICES", config.parent)
    file = config.with_name(name)

    written.write(written.text_of(Answers("h", prefixes=(Path("/data"),)), file), file, force=False)

    assert load(file).state_directory == Path(state)
    assert file.stat().st_mode & 0o777 == 0o640
    assert f"systemctl enable --now {service}" in written.commands(file)
