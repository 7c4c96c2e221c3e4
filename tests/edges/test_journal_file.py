"""The journal as a file: who may open it, in what condition, and who only reads."""

import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from deriva_watch.core.errors import JournalHeldError, SettingsError, TroubleError
from deriva_watch.core.records import MoveExecution
from deriva_watch.core.states import ExecutionState, ExecutionTrigger
from deriva_watch.edges.journal import Journal, open_readonly, sqlite
from deriva_watch.edges.journal.schema import REVISION, metadata

PLACE = ("example.org/1", "/data", "4-AB2C")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state 100%#" / "journal.db"


@pytest.fixture
def url(path):
    return f"sqlite:///{path}"


def open_journal(url):
    return Journal.open(url, emit=lambda _: None)


def in_process(code, *arguments):
    """Run *code* in another Python and return what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def fill(url):
    """Leave an execution in READY and close the journal."""
    with open_journal(url) as journal:
        new = journal.open_execution(*PLACE)
        journal.commit([MoveExecution(new.id, ExecutionTrigger.SETTLED)])


def test_folder_and_files_are_for_their_owner_alone(path, url):
    umask = os.umask(0)
    try:
        with open_journal(url) as journal:
            journal.open_execution(*PLACE)
            files = sorted(path.parent.iterdir())
            modes = {stat.S_IMODE(file.stat().st_mode) for file in files}
    finally:
        os.umask(umask)

    assert [file.name for file in files] == [
        *("journal.db", "journal.db-shm", "journal.db-wal"),
        "journal.db.lock",
    ]
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_was_written_is_there_after_a_restart(url):
    with open_journal(url) as journal:
        new = journal.open_execution(*PLACE)

    with open_journal(url) as journal:
        assert journal.execution(new.id) == new
        assert journal.open_execution(*PLACE) == new


def test_a_commit_reaches_the_disk_before_it_is_answered(tmp_path):
    """A machine that loses its power loses no answer: SQLite waits for the disk (FULL is 2)."""
    path = tmp_path / "journal.db"
    sqlite.create_file(path)
    engine = sqlite.writer_engine(path)
    with engine.begin() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous")
        ]
    engine.dispose()

    assert found == ["wal", 2]


def test_a_second_opener_is_told_who_holds_the_journal(path, url):
    with open_journal(url):
        with pytest.raises(JournalHeldError, match=f"journal.db: process {os.getpid()} holds it"):
            open_journal(url)
        assert "JournalHeldError" in in_process(OPEN, url)

    assert in_process(OPEN, url) == "opened\n"
    assert (path.parent / "journal.db.lock").read_text() != f"{os.getpid()}\n"


OPEN = """
import os, sys
from deriva_watch.edges.journal import Journal
os.setuid(int(sys.argv[2]) if sys.argv[2:] else os.getuid())
try:
    Journal.open(sys.argv[1], emit=print).close()
    print("opened")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_reader_delays_a_daemon_that_starts_but_does_not_stop_it(url):
    """Nobody may write while a reader takes the file for immutable."""
    fill(url)
    connection = open_readonly(url)._engine.connect()
    began = time.monotonic()
    Timer(0.1, connection.close).start()

    with open_journal(url):
        assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "journal.db", "", "mysql://h/db", "postgresql://h/db"],
)
def test_a_url_that_names_no_file_is_a_matter_of_settings(url):
    with pytest.raises(SettingsError, match="it does not name an SQLite file"):
        open_journal(url)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/nonexistent/x")])
def test_a_file_that_cannot_be_made_is_named(path, url, make):
    path.parent.mkdir()
    make(path)

    with pytest.raises(SettingsError, match=r"cannot open the journal .*journal.db: .*: /"):
        open_journal(url)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"cannot open the journal .*: Not a directory: .*file"):
        open_journal(f"sqlite:///{tmp_path}/file/folder/journal.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_journal_of_another_user_is_named(path, url):
    fill(url)
    path.parent.parent.chmod(0o755)

    said = in_process(OPEN, url, "65534")

    assert said.startswith("SettingsError cannot open the journal")
    assert "Permission denied" in said


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"this is no database" + content,
        lambda content: content[:100] + os.urandom(3000) + content[3100:],
        lambda content: content[: len(content) // 2],
    ],
)
def test_a_damaged_journal_is_not_worked_with(path, url, damage):
    fill(url)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(TroubleError, match=r"cannot use the journal .*: it is damaged"):
        open_journal(url)
    with pytest.raises(TroubleError, match="journal"):
        open_readonly(url).executions()


def test_opening_makes_the_tables_that_the_code_describes(path, url):
    fill(url)
    with create_engine(f"sqlite:///{path}").connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})

        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == REVISION
    connection.engine.dispose()


def test_a_journal_of_revision_0001_opens(path, url):
    """The file is made from the statements that the first release ran, not by our code."""
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.executescript(Path(__file__).with_name("test_journal_0001.sql").read_text())
    connection.close()

    with open_journal(url) as journal:
        [execution] = journal.executions({ExecutionState.REFUSED})
        [file] = journal.files(execution.id)

        assert (execution.rid, execution.verdict) == ("4-AB2C", {"rules": ["quiet"]})
        assert (file.path, file.url) == ("asset/\udcff.tif", "/hatrac/a:1")
        assert [line.after for line in journal.history(execution.id)] == [
            *("filling", "found", "refused")
        ]


def test_a_journal_of_a_later_release_is_left_alone(path, url):
    fill(url)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    content = path.read_bytes()

    for use in (open_journal, open_readonly):
        with pytest.raises(TroubleError, match=r"a newer deriva-watch wrote it .revision 9999"):
            use(url)
    assert path.read_bytes() == content


def test_a_reader_waits_for_the_daemon_to_migrate(path, url):
    fill(url)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()

    with pytest.raises(TroubleError, match=r"older .* Start this version's daemon once"):
        open_readonly(url)


def test_a_reader_says_when_there_is_no_journal_yet(path, url):
    with pytest.raises(TroubleError, match=r"there is no journal .*`deriva-watch run`"):
        open_readonly(url)
    assert not path.parent.exists()

    path.parent.mkdir()
    path.touch()  # a daemon died before it made the tables
    with pytest.raises(TroubleError, match="there is no journal"):
        open_readonly(url)


def test_a_reader_sees_what_a_running_daemon_commits(url):
    with open_journal(url) as journal:
        reader = open_readonly(url)
        new = journal.open_execution(*PLACE)

        assert reader.execution(new.id) == new
        assert reader.daemon() == journal.daemon() == os.getpid()
        journal.commit([MoveExecution(new.id, ExecutionTrigger.SETTLED)])
        assert reader.execution(new.id).state is ExecutionState.READY


def test_a_reader_leaves_no_trace_where_no_daemon_runs(path, url):
    fill(url)
    before = stamps(path.parent)

    reader = open_readonly(url)

    assert reader.execution_counts() == {ExecutionState.READY: 1}
    assert reader.daemon() is None
    assert stamps(path.parent) == before


def stamps(folder):
    """Return what a write would move: not the time of the last look, which the kernel rounds."""
    found = {file: file.stat() for file in folder.iterdir()}
    return {file: (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for file, s in found.items()}


def test_a_reader_sees_what_a_killed_daemon_committed_last(path, url):
    """The last commits still stand in the write-ahead log, which nobody has put in place."""
    in_process_killed(url)
    size = (path.parent / "journal.db-wal").stat().st_size

    reader = open_readonly(url)

    assert reader.execution_counts() == {ExecutionState.READY: 1}
    assert reader.daemon() is None
    assert (path.parent / "journal.db-wal").stat().st_size == size > 0


def in_process_killed(url):
    code = f"""
import os, sys
from deriva_watch.core.records import MoveExecution
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.journal import Journal
journal = Journal.open(sys.argv[1], emit=lambda _: None)
new = journal.open_execution(*{PLACE!r})
journal.commit([MoveExecution(new.id, ExecutionTrigger.SETTLED)])
os.kill(os.getpid(), 9)
"""
    with pytest.raises(subprocess.CalledProcessError, match="SIGKILL"):
        in_process(code, url)


def test_a_copy_without_its_lock_can_be_read(path, url, tmp_path):
    fill(url)
    (tmp_path / "copy.db").write_bytes(path.read_bytes())

    reader = open_readonly(f"sqlite:///{tmp_path}/copy.db")

    assert reader.execution_counts() == {ExecutionState.READY: 1}
    assert reader.daemon() is None


def test_a_reader_cannot_write(url):
    with open_journal(url):
        reader = open_readonly(url)
        for engine in (reader._engine, open_readonly(url)._engine):
            with engine.connect() as connection, pytest.raises(Exception, match="readonly"):
                connection.exec_driver_sql("DELETE FROM history")


def test_opening_a_journal_changes_no_logging(url):
    code = """
import logging, sys
from deriva_watch.edges.journal import Journal
logging.disable(logging.CRITICAL)
Journal.open(sys.argv[1], emit=print).close()
print(logging.root.handlers, logging.root.level, logging.root.manager.disable)
"""
    assert in_process(code, url) == "[] 30 50\n"
