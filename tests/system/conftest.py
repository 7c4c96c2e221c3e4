"""The server of a module of tests, asked over plain HTTP."""

import pytest

from running import Api


@pytest.fixture
def api(server):
    return Api(server)
