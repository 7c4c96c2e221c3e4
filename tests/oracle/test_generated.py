"""deriva-py's uploader and our engine leave the same, whatever spec and tree are drawn."""

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from oracle.drawing import cases
from oracle.rivals import explained

# A tenth of what the profile says; `make soak` says more.
some = settings(
    max_examples=max(4, settings.default.max_examples // 10),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)


@pytest.mark.parametrize("by_content", [True, False], ids=["by content", "to the letter"])
@some
@given(data=st.data())
def test_both_leave_the_same(rivals, by_content, data):
    case = data.draw(cases(by_content))

    theirs, ours = rivals.both(case)

    event(f"{len(theirs.brought)} of {len(theirs.states)} brought in")
    assert not explained(theirs, ours)
