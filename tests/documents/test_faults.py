"""Every fault in docs/troubleshooting.md, and every defect of others, is shown by a test."""

import re
import tomllib
from pathlib import Path

import pytest

from documents.reading import ROOT

DEFECTS = tomllib.loads((ROOT / "tests/oracle/defects.toml").read_text())
SHOWN_BY = tomllib.loads((Path(__file__).parent / "faults.toml").read_text())
ROWS = re.findall(
    r"^\| (?!fault \||---)([^|]+?) \|", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE
)


def test_the_page_and_the_file_list_the_same_faults():
    assert len(ROWS) > 90
    assert list(SHOWN_BY) == ROWS


@pytest.mark.parametrize("fault", SHOWN_BY)
def test_a_fault_is_shown_by_tests_that_exist(fault):
    assert SHOWN_BY[fault]
    for each in SHOWN_BY[fault]:
        assert exists(each), each


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_that_is_not_ours_is_shown_by_a_test_that_exists(defect):
    assert len(DEFECTS) > 20
    assert exists(DEFECTS[defect])


def exists(test):
    """Tell whether a test, as pytest names it, is defined."""
    file, _, name = test.partition("::")
    return f"def {name}(" in (ROOT / file).read_text()
