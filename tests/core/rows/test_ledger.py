"""Which rows of a file are in: by their place and by what they say."""

import pytest

from deriva_watch.core.rows.ledger import HOLE, Batch, ChangedRowError, Rows, Written, compare
from deriva_watch.core.rows.table_files import RawRow, TableFileError


def digest(letter):
    return HOLE if letter == "." else letter.encode() * len(HOLE)


def batch(letters, **more):
    """Return a batch with a row for each letter; a dot is one that was refused."""
    return Batch(0, [digest(x) for x in letters], [None] * len(letters), **more)


def rows(letters, *, broken=False):
    """Return what a file has, a letter a row."""

    def each():
        for number, letter in enumerate(letters, 2):
            yield Written(RawRow(f"line {number}", {"a": letter}), digest(letter))
        if broken:
            raise TableFileError("line 9", "broken")

    return Rows(each())


def todo(known):
    return {at: written.row.cells["a"] for at, written in known.todo.items()}


@pytest.mark.parametrize(
    ("known", "there", "sent", "left"),
    [
        ("ab", "ab", {}, None),
        ("ab", "abc", {}, "c"),
        ("a.c", "abc", {1: "b"}, None),
        ("a.c", "ac", {}, None),
        ("a.", "a", {}, None),
        ("a..d", "axd", {1: "x"}, None),
        ("..", "xy", {0: "x", 1: "y"}, None),
    ],
)
def test_what_is_in_is_passed_over_and_what_was_refused_is_sent(known, there, sent, left):
    one, found = batch(known), rows(there)

    compare(one, found)

    assert todo(one) == sent
    assert (found.next and found.next.row.cells["a"]) == left


@pytest.mark.parametrize(
    ("known", "there", "place"),
    [("ab", "ax", "line 3"), ("ab", "a", None), ("ab", "b", "line 2"), ("a.c", "axy", "line 4")],
)
def test_a_row_that_is_in_must_be_there_as_it_was(known, there, place):
    with pytest.raises(ChangedRowError) as changed:
        compare(batch(known), rows(there))

    assert changed.value.place == place


def test_a_refused_row_at_the_end_of_a_batch_may_be_taken_out():
    one = batch("a.")

    compare(one, rows("ab"), following=digest("b"))

    assert todo(one) == {}


def test_rows_that_nobody_knows_of_are_looked_at_again():
    one = batch("ab", sent=False)
    one.rids = ["1", "2"]
    one.settle(frozenset({"1"}))

    compare(one, rows("ax"))

    assert todo(one) == {0: "a", 1: "x"}


def test_what_cannot_be_read_is_no_row_that_was_taken_out():
    with pytest.raises(TableFileError):
        compare(batch("ab"), rows("a", broken=True))


def test_the_rows_before_a_broken_place_count():
    found = rows("a", broken=True)

    assert found.take().row.cells == {"a": "a"}
    assert found.next is None
    assert found.broken.place == "line 9"
