"""`deriva-watch check` in this process, before a sandbox of its own."""

import json

import pytest

from deriva_watch.cli import main
from running import sandbox, write_config


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("sandbox")) as said:
        yield said


@pytest.fixture
def tell(capfd, monkeypatch, tmp_path, ready):
    """Run the command here; return its status and what it printed."""

    def run_here(prefix, *arguments, at=ready, who="owner", **sections):
        config = write_config(tmp_path / "settings", at, prefix, who=who, **sections)
        monkeypatch.setattr("sys.argv", ["deriva-watch", "check", "-c", str(config), *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code), capfd.readouterr().out

    return run_here


@pytest.fixture
def found(tell):
    """Run the command for programs; return its status and the lines by what they are about."""

    def run_here(prefix, **options):
        status, said = tell(prefix, "--json", **options)
        return status, {each["about"]: each for each in json.loads(said)["checks"]}

    return run_here


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data/deriva-ml/execution/1-A/assets").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def scanner(tmp_path, monkeypatch):
    """Return a function that adds a drop folder, for an asset table, to the settings."""

    def add(table):
        (tmp_path / "scanner").mkdir()
        drop = [{"path": f"{tmp_path}/scanner", "table": table, "pattern": ".*"}]
        monkeypatch.setenv("DERIVA_WATCH_DROP", json.dumps(drop))
        return tmp_path / "scanner"

    return add
