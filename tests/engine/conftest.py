"""One sandbox for a file of tests; each test has names, an execution and a journal of its own."""

import uuid
from itertools import count

import pytest

from deriva_watch.engine.rows import tables
from engine.rig import Lab
from running import sandbox


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("engine") / "data") as ready:
        yield ready


@pytest.fixture
def lab(tmp_path, ready):
    """An execution of its own."""
    return Lab(tmp_path, ready)


@pytest.fixture
def two_rows_a_batch(monkeypatch):
    """So that a file of a few rows has several batches."""
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)


@pytest.fixture
def fresh():
    """Makes texts that no other test has."""
    run, numbers = uuid.uuid4().hex, count()
    return lambda: f"{run} {next(numbers)}"
