"""Journals of other releases: older ones are upgraded, newer ones are left alone."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.orders.holds import HoldKind
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.edges.journal import Journal, open_readonly
from deriva_watch.edges.journal.database import migration
from deriva_watch.edges.journal.schema import REVISION, metadata

FIRST = Path(__file__).with_name("revision_0001.sql").read_text()

REVISIONS = {
    "r9001.py": """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9001", "{known}"
def upgrade():
    op.add_column("execution", sa.Column("colour", sa.Text))
    op.execute("UPDATE execution SET colour = 'blue'")
""",
    "r9002.py": """
from alembic import op
revision, down_revision = "9002", "9001"
def upgrade():
    op.alter_column("execution", "colour", new_column_name="paint")
    op.execute("DELETE FROM pause")
    {at_the_end}
""",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


def open_journal(url):
    return Journal.open(url, emit=lambda _: None)


def make_first(path):
    """Make the journal that the first release left, without our code."""
    with sqlite3.connect(path) as connection:
        connection.executescript(FIRST)
    connection.close()


def query(path, sql):
    with sqlite3.connect(path) as connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def set_revision(path, revision):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    connection.close()


def schema(path):
    """Return all columns with type, NOT NULL and key, and the statements of all indexes."""
    names = [name for (name,) in query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {
        (name, *column[1:])
        for name in names
        for column in query(path, f"PRAGMA table_info({name})")
    }
    return columns, set(query(path, "SELECT name, sql FROM sqlite_master WHERE type = 'index'"))


def scripts_of_later_release(folder, at_the_end=""):
    """Write the migrations of a release with two more revisions and return their folder."""
    shutil.copytree(migration._SCRIPTS, folder)
    for name, text in REVISIONS.items():
        filled = text.format(known=REVISION, at_the_end=at_the_end)
        (folder / "versions" / name).write_text(filled)
    return folder


@pytest.fixture
def be_later_release(tmp_path, monkeypatch):
    """Return a function that makes our code the release with two more revisions."""

    def change(at_the_end=""):
        scripts = scripts_of_later_release(tmp_path / "scripts", at_the_end)
        monkeypatch.setattr(migration, "_SCRIPTS", scripts)
        monkeypatch.setattr(migration, "REVISION", "9002")

    return change


def test_a_new_journal_has_the_tables_that_the_code_describes(path, url):
    open_journal(url).close()
    engine = create_engine(f"sqlite:///{path}")

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == REVISION
    engine.dispose()


def test_a_journal_of_the_first_release_gets_the_tables_of_a_new_one(path, url, tmp_path):
    make_first(path)

    open_journal(url).close()
    open_journal(f"sqlite:///{tmp_path}/new.db").close()

    assert schema(path) == schema(tmp_path / "new.db")


def test_a_journal_of_the_first_release_keeps_what_it_knows(path, url):
    make_first(path)

    with open_journal(url) as journal:
        [execution, unit] = journal.executions({ExecutionState.REFUSED})
        [file, table_file] = journal.files(execution.id)

        assert (execution.rid, execution.verdict) == ("4-AB2C", {"rules": ["quiet"]})
        assert (unit.rid, unit.unit) == ("overview 1", "directory")
        assert (file.path, file.url) == ("asset/\udcff.tif", "/hatrac/a:1")
        assert (file.size_bytes, file.inode) == (3, 2**64 - 1)
        assert [line.after for line in journal.history(execution.id)] == [
            *("filling", "found", "found", "hashed", "ready", "uploading"),
            *("stored", "recorded", "refused"),
        ]
        assert journal.amounts([execution.id])[execution.id][FileState.RECORDED] == (1, 3)
        assert [batch.rids for batch in journal.batches(table_file.id, 0, 9)] == [["1-A", None]]
        assert [each.stamp for each in journal.digests(execution.id)] == [file.stamp]
        assert [each.rid for each in journal.held()] == [unit.rid]
        assert (journal.paused().kind, journal.paused().by) == (HoldKind.PAUSED, "jane")
        [damaged] = journal.damaged_journals()
        assert damaged.path.endswith("journal.db.damaged-20260228T120000.000000Z")
        assert [each.sent_bytes for each in journal.samples(damaged.at.replace(hour=0))] == [3]


def test_an_upgrade_runs_every_newer_revision_and_keeps_the_rows(path, url, be_later_release):
    make_first(path)
    be_later_release()

    with open_journal(url) as journal:
        assert [each.rid for each in journal.executions()] == ["4-AB2C", "overview 1"]
        assert len(journal.files(1)) == 2

    assert query(path, "SELECT paint FROM execution") == [("blue",), ("blue",)]
    assert query(path, "SELECT version_num FROM alembic_version") == [("9002",)]


def test_an_upgrade_runs_once(path, url, be_later_release):
    make_first(path)
    be_later_release()

    open_journal(url).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE execution SET paint = 'red'")
    connection.close()
    open_journal(url).close()

    assert query(path, "SELECT paint FROM execution") == [("red",), ("red",)]


def test_an_upgrade_that_fails_leaves_the_old_journal(path, url, be_later_release, monkeypatch):
    make_first(path)
    before = schema(path)
    be_later_release(at_the_end="raise ArithmeticError")

    with pytest.raises(ArithmeticError):
        open_journal(url)

    monkeypatch.undo()
    assert_first(path, url, before)


def test_a_kill_amid_an_upgrade_leaves_the_old_journal(path, url, tmp_path):
    make_first(path)
    before = schema(path)
    kill = "import os; os.kill(os.getpid(), 9)"
    scripts = scripts_of_later_release(tmp_path / "scripts", at_the_end=kill)

    with pytest.raises(subprocess.CalledProcessError, match="SIGKILL"):
        subprocess.run([sys.executable, "-c", OPEN_AS_LATER_RELEASE, url, scripts], check=True)

    assert_first(path, url, before)


OPEN_AS_LATER_RELEASE = """
import sys
from pathlib import Path
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.journal.database import migration
migration._SCRIPTS, migration.REVISION = Path(sys.argv[2]), "9002"
Journal.open(sys.argv[1], emit=print)
"""


def assert_first(path, url, before):
    """Check that the journal is as the first release left it, and can be worked with."""
    assert schema(path) == before
    assert query(path, "SELECT version_num FROM alembic_version") == [("0001",)]
    with open_journal(url) as journal:
        assert [each.rid for each in journal.executions()] == ["4-AB2C", "overview 1"]
        assert journal.paused() is not None
        journal.open_execution("example.org/1", "/data", "4-NEW")
    assert query(path, "SELECT version_num FROM alembic_version") == [(REVISION,)]


def test_a_journal_of_a_later_release_is_left_alone(path, url):
    open_journal(url).close()
    set_revision(path, "9999")
    content = path.read_bytes()

    for use in (open_journal, open_readonly):
        with pytest.raises(TroubleError, match=r"a newer deriva-watch wrote it .revision 9999"):
            use(url)
    assert path.read_bytes() == content


def test_a_reader_waits_for_the_daemon_to_migrate(path, url):
    open_journal(url).close()
    set_revision(path, "0000")

    with pytest.raises(TroubleError, match=r"older .* Start this version's daemon once"):
        open_readonly(url)
