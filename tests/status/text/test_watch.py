"""`status --watch`: it goes on whatever becomes of the journal."""

import io
import sqlite3

import pytest
from rich.console import Console

from deriva_watch.core.errors import TroubleError
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.journal.database import sqlite as journal_sqlite
from deriva_watch.status.text import watch as watch_module
from deriva_watch.status.text.watch import looks, watch


@pytest.fixture
def at_once(monkeypatch):
    """Make whoever waits for the lock of another program give up soon."""
    monkeypatch.setattr(journal_sqlite, "_BUSY_S", 0.1)


def never(_seconds):
    """Sleep no time."""


@pytest.mark.usefixtures("at_once")
def test_a_journal_that_is_busy_is_told_and_looked_at_again(lab):
    lab.uploaded("1-AA", a=1)
    views = looks(lab.url, never)
    assert next(views)["verdict"]["level"] == "safe"
    other = sqlite3.connect(lab.journal.path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    lab.journal.close()
    other.execute("BEGIN EXCLUSIVE")

    busy = next(views)
    other.close()

    assert isinstance(busy, TroubleError)
    assert "locked" in busy.why
    assert next(views)["executions"]["uploaded"] == 1


def test_a_journal_that_takes_the_place_of_another_is_seen(lab):
    lab.uploaded("1-AA", a=1)
    views = looks(lab.url, never)
    next(views)
    lab.journal.close()
    for file in lab.journal.path.parent.glob("journal.db*"):
        file.unlink()

    gone = next(views)
    Journal.open(lab.url, emit=lambda _: None).close()
    new = next(views)

    assert "there is no journal" in gone.what
    assert new["executions"]["uploaded"] == 0


def test_without_a_journal_there_is_nothing_to_watch(tmp_path):
    with pytest.raises(TroubleError, match="there is no journal"):
        next(looks(f"sqlite:///{tmp_path}/journal.db"))


def test_a_terminal_keeps_the_last_view_and_says_what_is_wrong(lab):
    lab.uploaded("1-AA", a=1000)
    view = next(looks(lab.url, never))
    trouble = TroubleError("cannot read the journal", "it is locked", "Wait.")
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=5)

    watch(iter([trouble, view]), whole=False, console=console)

    text = console.file.getvalue()
    assert "cannot read the journal" in text
    assert "1.0 kB in the catalog" in text  # the last line, which such a terminal has no room for
    assert "\x1b[?1049h" not in text  # no other screen, on which it would be lost


def test_a_pipe_gets_one_view_after_the_other(lab):
    lab.uploaded("1-AA", a=1)
    views = looks(lab.url, never)
    console = Console(file=io.StringIO(), width=200)

    watch((next(views) for _ in range(3)), whole=False, console=console)

    assert console.file.getvalue().count("✓  1 file of 1 execution is in the catalog") == 3
    assert watch_module._EVERY_S == 1
