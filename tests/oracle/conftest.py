"""One rivals for a file of tests; every try has fresh servers."""

import pytest

from oracle.rivals import Rivals


@pytest.fixture(scope="module")
def rivals(tmp_path_factory):
    rivals = Rivals(tmp_path_factory.mktemp("oracle"))
    yield rivals
    rivals.close()
