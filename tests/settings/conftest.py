"""A machine on which nothing is configured."""

import os

import pytest


@pytest.fixture(autouse=True)
def _a_machine_without_settings(tmp_path, monkeypatch):
    for name in os.environ:
        if name.startswith(("DERIVA_WATCH_", "STATE_DIRECTORY", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
