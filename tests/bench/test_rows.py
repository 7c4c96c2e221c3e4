"""Rows of the table in miniature: the works are done, and all figures are there.

One row of each kind is tried by default; `SOAK=1` tries every one.
"""

import json
import math
import os
import tempfile
import time
from xml.etree import ElementTree as ET

import pytest

from bench.__main__ import measure
from bench.figures import Figure, Goal, faster, median
from bench.picture import svg
from bench.rows import all_rows
from bench.site import Ran, Site, Sizes
from bench.table import document, text
from starting import Program

TINY = Sizes(
    small_files=4,
    small_bytes=100,
    chunk_bytes=300_000,
    share=0.5,
    cold_mb=1,
    times=2,
    hung_files=3,
    large_mb=1,
    executions=2,
    files=4,
    many=100,
    rows=8,
    behind_mb=1,
    killed_mb=4,
)
ROWS = {row.name: row for row in all_rows(TINY)}
TRIED = (
    ROWS if os.environ.get("SOAK") else ("small", "one", "cold", "executions", "killed", "keyed")
)


def forked(name, words, environment):
    """Run a module in a process that has its imports behind it."""
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as errors:
        begun_s = time.monotonic()
        process = Program(name, words, environment, out.name, errors.name)
        assert process.wait(60) == 0, errors.read()
        return Ran(out.read(), time.monotonic() - begun_s, 0.0, 0.0)


@pytest.mark.parametrize("name", TRIED)
def test_a_row_in_miniature_has_all_its_figures(tmp_path, name):
    row = ROWS[name]

    figures = measure(row, Site(TINY, through=(), launch=forked), tmp_path)

    assert list(figures) == list(row.runs)
    for figure in figures.values():
        assert figure.amount > 0
        assert figure.seconds > 0
    values = {goal.what: goal.value([figures]) for goal in row.goals}
    assert all(math.isfinite(value) for value in values.values()), values
    assert not list(tmp_path.iterdir())
    (told,) = document([(row, [figures])])["rows"]
    assert set(told["competitors"]) == set(row.runs)
    assert row.title in text([(row, [figures])])
    assert row.title in "".join(ET.fromstring(svg([(row, [figures])])).itertext())


def rounds(*seconds):
    """Return rounds in which ours took so many seconds for 10 files, and the floor one."""
    return [{"ours": Figure(10, each, 0, 0), "floor": Figure(10, 1, 0, 0)} for each in seconds]


def test_a_ratio_is_the_median_of_those_of_the_rounds():
    goal = faster("floor", 0.5)

    assert goal.value(rounds(2, 4, 100)) == 0.25
    assert goal.is_met(0.5)
    assert not goal.is_met(0.49)


def test_a_goal_may_be_a_limit():
    goal = Goal("s", lambda figures: figures["ours"].seconds, at_most=3)

    assert goal.is_met(3)
    assert not goal.is_met(3.1)


def test_the_median_of_figures_is_one_that_was_measured():
    assert median([each["ours"] for each in rounds(5, 1, 3)]).seconds == 3


def test_the_table_tells_which_goals_are_missed():
    (figures,) = rounds(2)
    measured = [(ROWS["one"], [figures | {"deriva-py": Figure(10, 3, 0, 0)}])]

    assert "✗ ours / floor 0.50 (≥ 0.9)" in text(measured)
    assert "✓ ours / deriva-py 1.50 (≥ 1.3)" in text(measured)
    (row,) = json.loads(json.dumps(document(measured)))["rows"]
    assert [goal["met"] for goal in row["goals"]] == [False, True]
