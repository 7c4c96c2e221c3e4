"""config.example.toml says everything, and nothing that is not so."""

import re
import tomllib
from pathlib import Path

import pytest

from deriva_watch.settings.drop_folder import DropFolder
from deriva_watch.settings.model import Settings, load
from deriva_watch.settings.sections import Watch

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


LISTS = {"watch": Watch, "drop": DropFolder}
SECTIONS = {
    section: LISTS[section] if section in LISTS else Settings.model_fields[section].annotation
    for section in Settings.model_fields
}


@pytest.fixture
def shown(monkeypatch):
    """The sections of the example with every default switched on."""
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/deriva-watch")
    lines = r"^#(?=\w+ = |\[\[drop)"
    tables = tomllib.loads(re.sub(lines, "", EXAMPLE.read_text(), flags=re.MULTILINE))
    return tables | {section: tables[section][0] for section in LISTS}


def test_the_example_loads_as_it_stands():
    assert load(EXAMPLE).server.host == "data.example.org"


def test_the_example_names_every_section_in_order(shown):
    assert list(shown) == list(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_example_names_every_key_of_a_section_in_order(shown, section):
    assert list(shown[section]) == list(SECTIONS[section].model_fields)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_default_in_the_example_is_the_default(shown, section):
    """Where the default is "not set" the example shows what could stand there."""
    model, table = SECTIONS[section], shown[section]
    fields = model.model_fields
    required = {key: table[key] for key in table if fields[key].is_required()}
    optional = {key: table[key] for key in table if fields[key].default is not None}

    assert model.model_validate(required | optional) == model.model_validate(required)
