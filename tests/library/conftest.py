"""One sandbox for a file of tests, and a model of its catalog; each test has an execution."""

import pytest

from deriva_watch import DerivaModel
from running import Api, credential, sandbox


def model_of(ready, who="owner"):
    """Return what a caller of the library would pass."""
    from deriva.core import ErmrestCatalog

    return DerivaModel(
        ErmrestCatalog("http", ready["host"], ready["catalog"], credential(ready, who))
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("library") / "data") as ready:
        yield ready


@pytest.fixture(scope="module")
def model(ready):
    return model_of(ready)


@pytest.fixture(scope="module")
def api(ready):
    return Api(ready)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The user's state directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"
