"""The documentation is built without a warning, and has all that the code has."""

import re
import subprocess
import sys
from html import unescape
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
from deriva_watch.settings.model import Settings
from documents.reading import ROOT, documents, pages

README_BYTES = 8192
PICTURE_BYTES = 150_000


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the pages, as `make docs` builds them, but with caches of its own."""
    folder = tmp_path_factory.mktemp("docs")
    (line,) = re.findall(
        r"^\t\$\(BIN\)/(sphinx-build .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    words = line.replace("build/docs", str(folder)).split()
    done = subprocess.run(
        [Path(sys.executable).parent / words[0], *words[1:]],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def page(built, name):
    """Return a built page as text with its tags."""
    return unescape((built / f"{name}.html").read_text())


def test_every_page_can_be_reached_from_the_index(built):
    written = set((ROOT / "docs").rglob("*.md"))

    assert set(pages()) == written
    for path in written:
        assert (built / path.relative_to(ROOT / "docs").with_suffix(".html")).is_file()


def test_a_page_of_every_kind_of_generated_part_exists():
    used = {name for path in pages() for name in generated.MARK.findall(path.read_text())}

    assert used == generated.PARTS.keys()


def test_every_command_is_described_with_every_option(built):
    text = re.sub(r"<[^>]+>", "", page(built, "reference/commands"))

    for name, command in get_command(app).commands.items():
        assert f"deriva-watch {name} " in text
        for param in command.params:
            assert (param.opts[0] if param.opts[0].startswith("-") else param.metavar) in text, name


def test_every_setting_is_described(built):
    text = page(built, "reference/settings")

    for section, field in Settings.model_fields.items():
        assert f"[{section}]" in text
        for key in getattr(field.annotation, "model_fields", {}):
            assert f">{key}<" in text, f"{section}.{key}"


def test_every_event_is_described(built):
    text = page(built, "reference/events")

    assert re.findall(r'<h2><code[^>]*><span class="pre">([^"]+?)</span></code>', text) == [
        event.NAME for event in ALL_EVENTS
    ]


def test_every_event_that_a_page_names_exists():
    named = set(re.findall(r"`([a-z_]+\.(?!jsonl)[a-z_]+)`", documents()))
    states = [f"execution.{state}" for state in ExecutionState]
    states += [f"file.{state}" for state in FileState]

    assert named
    assert named <= {event.NAME for event in ALL_EVENTS} | set(states)


def test_the_pictures_of_states_are_the_transition_tables(built):
    titles = re.findall(
        r"<title>(\w+) to (\w+): ([\w, ]+)</title>", page(built, "reference/states")
    )
    drawn = {(state, each, to) for state, to, said in titles for each in said.split(", ")}

    rows = [*EXECUTION_TRANSITIONS.items(), *FILE_TRANSITIONS.items()]
    assert drawn == {(state, each, to) for state, row in rows for each, to in row.items()}


def test_every_name_of_the_library_is_described(built):
    with (built / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda _base, path: path)
    named = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}

    assert {f"deriva_watch.{name}" for name in deriva_watch.__all__} <= named


def test_nothing_is_loaded_from_another_host(built):
    for path in built.rglob("*.html"):
        loaded = re.findall(r'(?:src|<link[^>]* href)="(https?:[^"]+)"', path.read_text())
        assert loaded == [], path


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()

    assert len(text.encode()) <= README_BYTES
    assert (ROOT / "docs/status-page.png").stat().st_size <= PICTURE_BYTES
    local = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(local) > 10
    for link in local:
        assert (ROOT / link).is_file(), link
