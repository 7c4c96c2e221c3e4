"""The rules of the house, as tests: one command runs them all."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from deriva_watch.core.states import EXECUTION_TRANSITIONS, FILE_TRANSITIONS, mermaid

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*command: object) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("mypy",),
        ("lint-imports",),
    ],
    ids=["format", "lint", "types", "imports"],
)
def test_the_code_keeps_the_rules(command: tuple[str, ...]) -> None:
    run(BIN / command[0], *command[1:])


@pytest.mark.parametrize("table", [EXECUTION_TRANSITIONS, FILE_TRANSITIONS])
def test_the_diagrams_of_the_readme_are_the_transition_tables(table: Mapping) -> None:
    assert mermaid(table) in (ROOT / "README.md").read_text()


def test_the_ci_runs_the_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    assert "make test" in readme
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("make test")


def test_each_fault_in_the_readme_is_shown_by_a_test() -> None:
    table = (ROOT / "README.md").read_text().partition("## When something is wrong")[2]
    faults = [line for line in table.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    named = [re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)` \|$", line) for line in faults]

    headings = [line for line in faults if line.startswith(("| fault", "| **"))]
    assert len([tests for tests in named if tests]) == len(faults) - len(headings) > 0
    for file, test in (pair for tests in named for pair in tests):
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file} has no {test}"


def test_each_defect_that_is_not_ours_is_shown_by_a_test() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Defects that are not ours")[2]
    defects = [line for line in table.splitlines() if line.startswith("| ")][1:]
    named = re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)` \|$", table, re.MULTILINE)

    assert len(named) == len(defects) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file} has no {test}"
