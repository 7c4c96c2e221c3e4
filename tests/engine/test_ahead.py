"""A stage runs ahead of its consumer, by so many items and no more, and ends with it."""

import threading

import pytest

from deriva_watch.engine.ahead import ahead
from running import wait_until


def test_items_come_in_their_order():
    with ahead("numbers", (number for number in range(100))) as numbers:
        assert list(numbers) == list(range(100))


def test_a_stage_is_so_many_items_ahead_and_no_more():
    made = []

    def numbers():
        for number in range(10):
            made.append(number)
            yield number

    with ahead("numbers", numbers(), depth=2) as items:
        wait_until(lambda: len(made) == 3)  # two are ready, and one waits to be
        assert next(items) == 0
        wait_until(lambda: len(made) == 4)
        assert made == [0, 1, 2, 3]


def test_an_error_of_a_stage_comes_after_the_items_before_it():
    def failing():
        yield 1
        raise ValueError("no more")

    got = []
    with pytest.raises(ValueError, match="no more"), ahead("failing", failing()) as items:
        got.extend(items)
    assert got == [1]


def test_a_consumer_that_fails_ends_the_stages_before_it():
    closed = []

    def numbers(name, source):
        try:
            yield from source
        finally:
            closed.append(name)

    def consume():
        with (
            ahead("one", numbers("one", range(10**6))) as one,
            ahead("two", numbers("two", one)) as two,
        ):
            next(two)
            raise KeyError

    before = threading.active_count()
    with pytest.raises(KeyError):
        consume()

    assert closed == ["two", "one"]
    assert threading.active_count() == before
