"""deriva-py's uploader and our engine leave the same objects and rows, case by case."""

import pytest

from oracle.cases import CASES
from oracle.rivals import explained

STAGED = [name for name, case in CASES.items() if len(case.stages) > 1]


@pytest.mark.parametrize("name", CASES)
def test_both_leave_the_same(rivals, name):
    case = CASES[name]

    theirs, ours = rivals.both(case)

    assert not explained(theirs, ours)
    assert case.brings == ours.brought


@pytest.mark.parametrize("name", STAGED)
def test_what_we_remember_makes_no_difference(rivals, name):
    case = CASES[name]

    theirs, ours = rivals.both(case, one_journal=True)

    assert not explained(theirs, ours)
    assert case.brings == ours.brought
