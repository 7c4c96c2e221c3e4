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


def pytest_terminal_summary(terminalreporter):
    """Say how many kills there were."""
    reports = [r for each in terminalreporter.stats.values() for r in each]
    found = [
        value
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "kills"
    ]
    if found:
        terminalreporter.write_line(f"{sum(found)} kills in {len(found)} tests")
