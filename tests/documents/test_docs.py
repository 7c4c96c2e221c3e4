"""The documentation is built without a warning, and has all that the code has."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile
from typer.main import get_command

import deriva_watch
import generated
from deriva_watch.cli import app
from deriva_watch.core.events import ALL_EVENTS
from deriva_watch.core.states import (
    EXECUTION_TRANSITIONS,
    FILE_TRANSITIONS,
    ExecutionState,
    FileState,
)
from deriva_watch.edges.journal import Journal
from deriva_watch.sandbox.faults import Action
from deriva_watch.settings.drop_folder import DropFolder
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import Watch
from deriva_watch.status.web.meter import Meter
from deriva_watch.status.web.routes import Web
from documents.reading import ROOT, documents, pages, section

README_BYTES = 8192
PICTURE_BYTES = 150_000


def test_make_docs_builds_every_page_without_a_warning_and_without_the_network(tmp_path):
    """It also describes every name of the library."""
    built = build(tmp_path)

    assert set(pages()) == set((ROOT / "docs").rglob("*.md"))
    for path in pages():
        text = (built / path.relative_to(ROOT / "docs").with_suffix(".html")).read_text()
        assert re.findall(r'(?:src|<link[^>]* href)="(https?:[^"]+)"', text) == [], path
    with (built / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda _base, path: path)
    described = {name for kind in inventory if kind.startswith("py:") for name in inventory[kind]}
    assert {f"deriva_watch.{name}" for name in deriva_watch.__all__} <= described


def build(folder):
    """Build the documentation into a folder, with the command of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    (line,) = re.findall(r"^\t\$\(BIN\)/(sphinx-build .*)$", makefile, re.MULTILINE)
    words = line.replace("build/docs", str(folder)).split()
    done = subprocess.run(
        [Path(sys.executable).parent / words[0], *words[1:]],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_page_of_every_kind_of_generated_part_exists():
    used = {name for path in pages() for name in generated.MARK.findall(path.read_text())}

    assert used == generated.PARTS.keys()


def test_every_command_is_described_with_every_option():
    text = generated.commands()

    for name, command in get_command(app).commands.items():
        described = section(f"`{name}`", text)
        for param in command.params:
            spelled = param.opts[0] if param.opts[0].startswith("-") else param.metavar
            assert f"`{spelled.strip('[]')}" in described, name


def test_every_setting_is_described():
    text = generated.settings()
    lists = {"watch": Watch, "drop": DropFolder}

    for name, field in Settings.model_fields.items():
        described = section(f"`[[{name}]]`" if name in lists else f"`[{name}]`", text)
        keys = lists.get(name, field.annotation).model_fields
        assert re.findall(r"^`(\w+)` \(", described, re.MULTILINE) == list(keys)


def test_every_event_is_described():
    found = re.findall(r"^## `(.*)`$", generated.events(), re.MULTILINE)

    assert found == [event.NAME for event in ALL_EVENTS]


def test_every_path_of_the_status_page_is_described(tmp_path):
    text = section("The status page", (ROOT / "docs/operations.md").read_text())
    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=lambda _: None) as journal:
        routes = Web(journal, Meter()).application().routes
    served = {route.path for route in routes if "." not in route.path} | {"/alerts.yml"}

    assert set(re.findall(r"^\| `(/[a-z./]+)", text, re.MULTILINE)) == served - {"/"}


def test_every_fault_of_the_sandbox_is_described():
    text = (ROOT / "docs/reference/sandbox.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)

    assert set(re.findall(r"\w+", " ".join(rows))) == set(Action)


def test_every_event_that_a_page_names_exists():
    named = set(re.findall(r"`([a-z_]+\.(?!jsonl)[a-z_]+)`", documents()))
    states = [f"execution.{state}" for state in ExecutionState]
    states += [f"file.{state}" for state in FileState]

    assert named
    assert named <= {event.NAME for event in ALL_EVENTS} | set(states)


@pytest.mark.parametrize(
    ("table", "drawn"),
    [
        (EXECUTION_TRANSITIONS, generated.execution_states),
        (FILE_TRANSITIONS, generated.file_states),
    ],
)
def test_the_picture_of_states_is_the_transition_table(table, drawn):
    titles = re.findall(r"<title>(\w+) to (\w+): ([\w, ]+)</title>", drawn())
    moves = [(state, each, to) for state, to, said in titles for each in said.split(", ")]

    assert len(moves) == len(set(moves))
    assert set(moves) == {
        (state, each, to) for state, row in table.items() for each, to in row.items()
    }


def test_the_picture_of_layers_is_the_contract():
    drawn = re.findall(r'y="(\d+)">([a-z]+)</text>', generated.layers())
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contract["contracts"][0]["layers"]

    rows = [[name for at, name in drawn if at == y] for y in dict.fromkeys(at for at, _ in drawn)]
    assert [" | ".join(row) for row in rows] == layers


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()

    assert len(text.encode()) <= README_BYTES
    assert (ROOT / "docs/status-page.png").stat().st_size <= PICTURE_BYTES
    local = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(local) > 10
    for link in local:
        assert (ROOT / link).is_file(), link
