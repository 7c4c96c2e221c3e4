"""One rivals for a file of tests; every try has fresh servers."""

import pytest
from hypothesis import settings

from oracle.rivals import Rivals

settings.register_profile("soak", max_examples=10_000)


@pytest.fixture(scope="module")
def rivals(tmp_path_factory):
    rivals = Rivals(tmp_path_factory.mktemp("oracle"))
    yield rivals
    rivals.close()
