"""The number of connections that servers of different kinds are found to be worth."""

from random import Random

import pytest

from deriva_watch.core.stats.connections import FIRST, Tuning


def settled(rate_of, windows=60, most=16):
    """Return the numbers used in the last half of so many windows."""
    tuning, used = Tuning.up_to(most), []
    for _ in range(windows):
        used.append(tuning.connections)
        tuning = tuning.after(rate_of(tuning.connections))
    return used[windows // 2 :]


def test_a_long_line_soon_gets_all_connections():
    tuning = Tuning.up_to(16)
    used = []
    for _ in range(4):
        used.append(tuning.connections)
        tuning = tuning.after(50.0 * tuning.connections)

    assert used == [4, 8, 16, 16]


def test_a_server_that_is_slower_beyond_four_keeps_four():
    used = settled(lambda n: 100.0 * min(n, 4) - 20 * max(0, n - 4))

    assert set(used) <= {3, 4, 5}
    assert used.count(4) > 0.8 * len(used)


def test_a_link_that_is_full_with_four_gets_no_more():
    used = settled(lambda n: min(n, 4) * 100.0)

    assert used.count(4) > 0.8 * len(used)
    assert set(used) <= {3, 4, 5}


def test_the_most_is_never_exceeded():
    assert max(settled(float, most=6)) == 6
    assert set(settled(float, most=1)) == {1}


def test_fewer_are_tried_too_and_kept_if_they_are_as_good():
    tuning = Tuning(8, 16, (8, 800.0), is_doubling=False, tries_more=False).after(800.0)
    assert tuning.connections == 7

    assert tuning.after(790.0).connections == 7
    assert tuning.after(700.0).connections == 8


def test_a_rate_that_varies_by_chance_does_not_end_with_a_single_connection():
    chance = Random(1)
    used = settled(lambda n: min(n, 8) * chance.uniform(70, 130), windows=2000)

    assert sum(used) / len(used) > 5


def test_a_server_with_too_much_to_do_gets_half_and_then_a_rest():
    tuning = Tuning(12, 16, (6, 100.0)).busy()
    used = [tuning.connections]
    for _ in range(10):
        tuning = tuning.after(100.0)
        used.append(tuning.connections)

    assert set(used) == {6}


@pytest.mark.parametrize("most", [1, 3, 16])
def test_the_first_tuning_is_careful(most):
    assert Tuning.up_to(most).connections == min(FIRST, most)
