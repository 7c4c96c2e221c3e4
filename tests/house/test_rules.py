"""The rules of the house, as tests: one command runs them all."""

import re
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


def test_contributing_lists_every_package_and_its_folders() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    listed = re.findall(r"^\| `([a-z/]+)/` \|", text, re.MULTILINE)
    package = ROOT / "src/deriva_watch"
    code = {file.parent for kind in ("*.py", "*.js") for file in package.rglob(kind)} - {package}
    folders = [str(folder.relative_to(package)) for folder in code]

    assert sorted(listed) == sorted(name for name in folders if name.count("/") < 2)


def test_the_files_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"([a-z_]+/[a-z_./]+\.(?:py|js|toml|md))\b", text)

    assert len(named) > 30
    for name in set(named) - {"cli/x.py", "commands/x.py"}:
        assert (ROOT / name).is_file() or (ROOT / "src/deriva_watch" / name).is_file(), name
