"""One sandbox for all kills; each has an execution, contents and a journal of its own."""

import pytest

from kill import lives
from kill.scene import catalog
from running import sandbox


@pytest.fixture(scope="session")
def ready(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    with sandbox(folder / "server", **catalog(folder)) as ready:
        yield ready


@pytest.fixture(scope="session")
def starter():
    with lives.starter() as starter:
        yield starter
