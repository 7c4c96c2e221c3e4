"""How long to wait before the next try."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.retry import RetryPolicy, wait_after_s

POLICY = RetryPolicy(initial_s=5, max_s=900, max_attempts=10)
_JITTER = st.floats(0, 1, exclude_max=True)
_POLICIES = st.builds(
    RetryPolicy,
    initial_s=st.floats(0.001, 3600),
    max_s=st.floats(0.001, 1e6),
    max_attempts=st.integers(0, 100_000),
)


@pytest.mark.parametrize(
    ("attempt", "ceiling_s"),
    [(1, 5), (2, 10), (3, 20), (7, 320), (8, 640), (9, 900), (10, 900)],
)
def test_the_ceiling_doubles_up_to_the_cap(attempt: int, ceiling_s: float):
    assert wait_after_s(attempt, POLICY, 0.5) == ceiling_s / 2
    assert wait_after_s(attempt, POLICY, 0.0) == 0


@pytest.mark.parametrize(("attempt", "goes_on"), [(1, True), (10, True), (11, False), (500, False)])
def test_after_the_last_attempt_nothing_is_waited_for(attempt: int, goes_on: bool):
    assert (wait_after_s(attempt, POLICY, 0.5) is not None) is goes_on
    assert (wait_after_s(attempt, POLICY, 0.5, retry_after_s=5) is not None) is goes_on


@pytest.mark.parametrize(
    ("retry_after_s", "wait_s"),
    [
        (None, 2.5),
        (0, 2.5),
        (-7, 2.5),
        (2, 2.5),
        (60, 60),
        (900, 900),
        (86_400, 900),
        (math.inf, 900),
    ],
)
def test_the_server_may_ask_for_more_but_not_for_more_than_the_cap(
    retry_after_s: float | None, wait_s: float
):
    assert wait_after_s(1, POLICY, 0.5, retry_after_s) == wait_s


@patient
@given(
    attempt=st.integers(1, 100_000),
    policy=_POLICIES,
    jitter=_JITTER,
    retry_after_s=st.none() | st.floats(0, 1e9),
)
def test_every_wait_is_bounded(
    attempt: int, policy: RetryPolicy, jitter: float, retry_after_s: float | None
):
    wait_s = wait_after_s(attempt, policy, jitter, retry_after_s)

    if attempt > policy.max_attempts:
        assert wait_s is None
    else:
        assert wait_s is not None
        assert 0 <= wait_s <= policy.max_s


@patient
@given(attempt=st.integers(1, 10_000), policy=_POLICIES, jitter=_JITTER)
def test_waits_never_shrink_from_one_attempt_to_the_next(
    attempt: int, policy: RetryPolicy, jitter: float
):
    before_s = wait_after_s(attempt, policy, jitter)
    after_s = wait_after_s(attempt + 1, policy, jitter)

    assert before_s is None or after_s is None or before_s <= after_s


@pytest.mark.parametrize("attempt", [61, 1024, 10_000, 10**9])
def test_no_number_of_attempts_is_too_large(attempt: int):
    endless = RetryPolicy(initial_s=5, max_s=900, max_attempts=10**9)

    assert wait_after_s(attempt, endless, 0.5) == 450
