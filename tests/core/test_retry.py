"""How long to wait before the next try."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.given import patient
from deriva_watch.core.records import FileRecord
from deriva_watch.core.retry import RetryPolicy, has_progressed, progress, wait_after_s
from deriva_watch.core.states import FileState

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


def a_file(number: int, state: FileState, chunks: int = 0) -> FileRecord:
    job = {"chunks": list(range(chunks))} if chunks else None
    return FileRecord(number, 1, f"{number}.bin", state, datetime.now(UTC), job=job)


@pytest.mark.parametrize(
    ("before", "after", "further"),
    [
        ((FileState.HASHED, 0), (FileState.STORED, 0), True),
        ((FileState.STORED, 0), (FileState.LINKED, 0), True),
        ((FileState.HASHED, 2), (FileState.HASHED, 3), True),
        ((FileState.HASHED, 3), (FileState.STORED, 0), True),
        ((FileState.HASHED, 3), (FileState.HASHED, 3), False),  # begun again, and no further
        ((FileState.FOUND, 0), (FileState.HASHED, 0), False),  # the server knows nothing of it
        ((FileState.FOUND, 0), (FileState.REFUSED, 0), False),
        ((FileState.LINKED, 0), (FileState.FOUND, 0), False),
    ],
)
def test_more_at_the_server_is_further(
    before: tuple[FileState, int], after: tuple[FileState, int], further: bool
):
    other = {2: progress(a_file(2, FileState.LINKED))}
    reached = [other | {1: progress(a_file(1, *each))} for each in (before, after)]

    assert has_progressed(*reached) is further


def test_a_new_file_that_is_in_is_further():
    assert has_progressed({}, {1: progress(a_file(1, FileState.STORED))})
