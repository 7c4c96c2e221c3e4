"""A mistake in the code is noticed by a test.

`SOAK=1` makes every mistake of `mutations` in a copy of the source and runs the tests
that must notice it. Without it is only seen to that every mistake can still be made.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mutations.mutations import MUTATIONS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
LONGEST_S = 3600  # all of the tests, one after the other, on a busy machine
each = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name.replace(" ", "-"))


def mutated(mutation, source):
    """Return the text of its file with the mistake in it."""
    text = (source / "deriva_watch" / mutation.file).read_text()
    for old, new in mutation.edits:
        assert text.count(old) == 1, f"{mutation.file} has {text.count(old)} times: {old}"
        text = text.replace(old, new)
    return text


def outcome(tests, source):
    """Run tests against a copy of the source; return the exit status and what they say."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    del environment["SOAK"]  # a sample of their cases has to do
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    done = subprocess.run(
        [*command, *tests],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@each
def test_every_mistake_can_still_be_made(mutation):
    """And its tests are there."""
    compile(mutated(mutation, SOURCE), mutation.file, "exec")

    for test in mutation.tests:
        file, _, name = test.partition("::")
        assert name or "::" not in test
        assert f"def {name}" in (ROOT / file).read_text(), f"{file} has no {name}"


@each
def test_a_mistake_is_noticed(tmp_path, mutation):
    source = shutil.copytree(SOURCE, tmp_path / "src", ignore=shutil.ignore_patterns("*.pyc"))
    (source / "deriva_watch" / mutation.file).write_text(mutated(mutation, SOURCE))

    status, said = outcome(mutation.tests, source)

    assert status == pytest.ExitCode.TESTS_FAILED, said
    assert not re.search(r"^E +(Import|Syntax|Name)Error", said, re.MULTILINE), said


def test_without_a_mistake_the_same_tests_pass():
    tests = sorted({test for mutation in MUTATIONS for test in mutation.tests})

    status, said = outcome(tests, SOURCE)

    assert status == pytest.ExitCode.OK, said


if not os.environ.get("SOAK"):  # not even as skipped
    del test_a_mistake_is_noticed, test_without_a_mistake_the_same_tests_pass
