import pytest

from deriva_watch.edges.journal import Journal
from deriva_watch.status.web import routes, stream
from looking import laboratory
from status.visiting import served


@pytest.fixture
def lab(tmp_path):
    """Yield a journal and what tests do with it."""
    with laboratory(tmp_path) as lab:
        yield lab


@pytest.fixture
def journal(tmp_path):
    """Yield a journal without executions."""
    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=lambda _: None) as journal:
        yield journal


@pytest.fixture
def hurried(monkeypatch):
    """Look again sooner than a person would want to."""
    monkeypatch.setattr(routes, "FRESH_S", 0.0)
    monkeypatch.setattr(stream, "EVERY_S", 0.2)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Yield the page of a journal without executions, for all tests that change nothing."""
    url = f"sqlite:///{tmp_path_factory.mktemp('state')}/journal.db"
    with (
        Journal.open(url, emit=lambda _: None) as journal,
        served(journal, hosts=["status.example.org"]) as here,
    ):
        yield here
