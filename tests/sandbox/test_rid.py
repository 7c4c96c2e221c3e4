"""Row identifiers are numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_watch.sandbox.ermrest import rid


@given(st.integers(0, 2**63))
def test_a_number_comes_back(number):
    assert number == rid.decode(rid.encode(number))


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (31, "Z"), (32**4, "1-0000")])
def test_symbols_stand_in_groups_of_four(number, text):
    assert text == rid.encode(number)


def test_issued_rids_are_even_and_in_order():
    assert rid.issue(1, 3) == ["2", "4", "6"]


@pytest.mark.parametrize("text", ["1-NOPE", "1-ABCU", "not a rid!", "1-abc"])
def test_other_characters_are_refused(text):
    with pytest.raises(ValueError, match=r".") as error:
        rid.decode(text)

    assert str(error.value) in text
