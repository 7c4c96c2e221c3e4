import pytest

from looking import laboratory


@pytest.fixture
def lab(tmp_path):
    """Yield a journal and what tests do with it."""
    with laboratory(tmp_path) as lab:
        yield lab
