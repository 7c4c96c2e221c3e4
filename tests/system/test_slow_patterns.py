"""A pattern that can match in very many ways, and a name that makes it try all of them."""

import json
from contextlib import suppress
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from running import Api, command, daemon, sandbox, write_config, write_files

NAME = f"{'a' * 60}-.tif"
PATTERN = "(?:[a-z]|[a-z][a-z])+[.]tif"


@pytest.fixture
def server(tmp_path):
    with sandbox(tmp_path / "server") as ready:
        yield ready


@pytest.fixture
def config(tmp_path, server):
    """The settings of a drop folder with such a pattern and such a name."""
    folder = write_files(tmp_path / "scope", {NAME: "nearly", "mouse.tif": "fits"})
    said = {
        "path": str(folder),
        "table": "deriva-ml:Execution_Asset",
        "pattern": PATTERN,
        "unit": "none",
        "quiet_s": 0.2,
    }
    listen = {"listen": "127.0.0.1:0"}
    config = write_config(tmp_path / "daemon", server, tmp_path / "data", status=listen)
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items())
    config.write_text(f"{config.read_text()}[[drop]]\n{text}")
    return config


def ask_health(url):
    """Ask the page for the daemon's health; an error if it does not answer, be it good or not."""
    with suppress(HTTPError):
        urlopen(f"{url.rstrip('/')}/healthz", timeout=60).close()


def test_the_file_is_refused_and_everybody_else_is_served(tmp_path, config, server):
    api = Api(server)
    rid = api.execution()
    write_files(
        tmp_path / "data/deriva-ml/execution" / rid,
        {"asset/deriva-ml/Execution_Asset/neighbour.bin": tmp_path.name},
    )

    with daemon(config) as running:
        url = running.wait_for(lambda event: event["event"] == "status.listening")["url"]
        refused = running.wait_for(lambda event: event["event"] == "file.refused")
        running.wait_for_state(rid, "uploaded")
        running.wait_for(
            lambda event: (event["event"], event.get("path")) == ("file.recorded", "mouse.tif")
        )
        ask_health(url)
        assert running.stop() == 143
    with daemon(config) as running:  # the next process has the same name before it
        url = running.wait_for(lambda event: event["event"] == "status.listening")["url"]
        ask_health(url)

    assert NAME in refused["path"]
    assert PATTERN in refused["why"]


def test_plan_refuses_the_file_and_warns_of_the_pattern(config, tmp_path):
    told = command(config, "plan", tmp_path / "scope", "--json")

    (plan,) = json.loads(told.stdout).values()
    assert [asset["path"] for asset in plan["assets"]] == ["mouse.tif"]
    assert [left["because"] for left in plan["left"]] == ["refused"]
    assert f"the pattern {PATTERN} can take very long" in plan["notices"]["pattern"]


def test_spec_warns_of_the_pattern_beside_the_document(config, tmp_path):
    told = command(config, "spec", tmp_path / "scope")

    assert json.loads(told.stdout)["asset_mappings"]
    assert f"note: pattern: the pattern {PATTERN} can take very long" in told.stderr


def test_check_warns_of_the_pattern(config):
    told = json.loads(command(config, "check", "--json").stdout)

    (note,) = [each for each in told["checks"] if each["what"] == "its pattern can be slow"]
    assert note["verdict"] == "note"
    assert PATTERN in note["why"]
    assert "simpler" in note["next"]
