"""What can go wrong has a place in the tree and a sentence for a person."""

import inspect

import pytest

from deriva_watch.core import errors
from deriva_watch.core.errors import RefusedError, TransientError, TroubleError, WatchError

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]


def test_everything_raised_on_purpose_is_one_kind():
    assert all(issubclass(kind, WatchError) for kind in ALL)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_drawn_tree(kind: type[WatchError]):
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    "kind", [k for k in ALL if issubclass(k, TroubleError)], ids=lambda kind: kind.__name__
)
def test_an_error_for_a_person_is_one_line_of_three_parts(kind: type[TroubleError]):
    error = kind("cannot store a.png", "the disk is full", "Make room.")

    assert str(error) == "cannot store a.png: the disk is full. Make room."
    assert {error: 1}[error] == 1  # it can be hashed, as exceptions must


def test_nobody_need_act_on_what_passes_by_itself():
    error = TransientError("cannot store a.png", "503", retry_after_s=5)

    assert error.retry_after_s == 5
    assert "retried automatically" in error.next


def test_what_quotes_something_very_long_is_shortened():
    error = RefusedError("cannot send x.csv", f"there is no column {'A' * 1_000_000}", "Rename it.")

    assert error.why.startswith("there is no column AAA")
    assert error.why.endswith("A… (1,000,019 characters)")
    assert len(error.why) < 11_000


def test_errors_with_one_text_are_two():
    assert RefusedError("a", "b", "c") != RefusedError("a", "b", "c")
