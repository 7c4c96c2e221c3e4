"""The rules of the house, as tests: one command runs them all."""

import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_ci_runs_the_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    assert "make test" in readme
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("make test")
