"""Sandboxes for the tests: one with the recorded catalog, one with the built-in, or one's own."""

from pathlib import Path

import pytest

from sandbox.asking import Sandbox

CONFORMANCE = Path(__file__).parents[1] / "data" / "conformance"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A sandbox with the catalog that the scenarios were recorded on."""
    schema, rows = CONFORMANCE / "schema.json", CONFORMANCE / "seed-rows.json"
    data = tmp_path_factory.mktemp("recorded")
    with Sandbox(data, "--schema", str(schema), "--rows", str(rows)) as running:
        yield running


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A sandbox with its own catalog."""
    with Sandbox(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def start(tmp_path):
    """Start a sandbox of the test's own, in the same folder each time."""
    running = []

    def start(*options, data=tmp_path / "sandbox"):
        running.append(Sandbox(data, *options))
        return running[-1]

    yield start
    for each in running:
        each.__exit__()
