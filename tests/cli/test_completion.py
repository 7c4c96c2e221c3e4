"""Tab completes commands and options, in the shells that people use."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from running import program

PROGRAM = Path(sys.executable).parent / "deriva-watch"
ASKED = {  # how a shell asks for what fits
    "zsh": {"_TYPER_COMPLETE_ARGS": "deriva-watch st"},
    "fish": {
        "_TYPER_COMPLETE_ARGS": "deriva-watch st",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    },
    "bash": {"COMP_WORDS": "deriva-watch st", "COMP_CWORD": "1"},
}


@pytest.mark.parametrize("shell", sorted(ASKED))
def test_every_shell_is_told_what_fits(shell):
    told = program([], os.environ | ASKED[shell] | {"_DERIVA_WATCH_COMPLETE": f"complete_{shell}"})

    assert told.returncode == 0
    assert "status" in told.stdout
    assert "upload" not in told.stdout


def test_bash_completes_a_command_and_its_options_after_the_script_is_there(tmp_path):
    """As `deriva-watch --show-completion` gives it, which knows the shell that it runs in."""
    (tmp_path / "deriva-watch").symlink_to(PROGRAM)
    asks = """
        set -e
        source <(deriva-watch --show-completion; true)
        for words in "st" "status --wa"; do
            COMP_WORDS=(deriva-watch $words) COMP_CWORD=$(wc -w <<<"$words")
            _deriva_watch_completion deriva-watch
            echo "${COMPREPLY[@]}"
        done
    """

    told = subprocess.run(
        ["bash", "-c", asks], capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert told.stdout.split("\n") == ["status", "--watch", ""], told.stderr


def test_it_is_installed_for_the_person_who_asks(tmp_path):
    assert shutil.which("bash")

    told = subprocess.run(
        ["bash", "-c", f"{PROGRAM} --install-completion; exit $?"],
        capture_output=True, text=True, check=False, env=os.environ | {"HOME": str(tmp_path)},
    )  # fmt: skip

    assert told.returncode == 0, told.stderr
    assert ".bash_completions" in (tmp_path / ".bashrc").read_text()
