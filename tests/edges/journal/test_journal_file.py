"""The journal as a file: who may open it, in what condition, and who only reads."""

import os
import sqlite3
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import pytest
from sqlalchemy import Engine, event

from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.errors import (
    JournalDamagedError,
    JournalHeldError,
    SettingsError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.states import ExecutionState, ExecutionTrigger
from deriva_watch.edges.journal import Journal, open_readonly
from deriva_watch.edges.journal.database import sqlite
from deriva_watch.edges.journal.database.quarantine import rename_damaged

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
        journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])


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


@pytest.fixture
def checks():
    """The checks of whole journals that were made."""
    made = []

    def listen(_connection, _cursor, statement, *_):
        if "quick_check" in statement:
            made.append(statement)

    event.listen(Engine, "before_cursor_execute", listen)
    yield made
    event.remove(Engine, "before_cursor_execute", listen)


def test_after_a_clean_stop_the_journal_is_not_checked_again(url, checks):
    fill(url)
    checks.clear()
    for _ in range(2):
        with open_journal(url) as journal:
            assert len(journal.executions()) == 1

    assert checks == []


def test_a_journal_of_a_killed_daemon_is_checked(url, checks):
    in_process_killed(url)
    open_journal(url).close()

    assert len(checks) == 1


@pytest.mark.parametrize(
    "touch",
    [
        os.utime,
        lambda path: path.write_bytes(path.read_bytes()),
        lambda path: (
            path.with_name("copy").write_bytes(path.read_bytes())
            and path.with_name("copy").replace(path)
        ),
        lambda path: path.with_name("journal.db.lock").unlink(),
        lambda path: path.with_name("journal.db.lock").write_text("clean\n"),
    ],
)
def test_a_journal_that_anybody_touched_since_is_checked(path, url, checks, touch):
    fill(url)
    checks.clear()
    touch(path)
    open_journal(url).close()

    assert len(checks) == 1


def test_a_journal_that_was_closed_for_a_failure_is_checked(url, checks):
    fill(url)
    with pytest.raises(RuntimeError), open_journal(url):
        raise RuntimeError
    checks.clear()
    open_journal(url).close()

    assert len(checks) == 1


KILLED = """
import os, sys
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.journal.database import lock

class Mortal:
    "The module os, until it is called for the last time."
    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in ("pread", "pwrite", "ftruncate", "fsync", "close"):
            return real
        def call(*arguments):
            self.called = getattr(self, "called", 0) + 1
            if self.called > int(sys.argv[2]):
                os.kill(os.getpid(), 9)
            return real(*arguments)
        return call

lock.os = Mortal()
with Journal.open(sys.argv[1], emit=lambda _: None) as journal:
    journal.open_execution("example.org/1", "/data", "1-NEW")
"""


@pytest.mark.parametrize(
    ("calls", "is_written", "is_checked"),
    [
        (1, False, False),  # the note was read: it stays, and is right
        (3, False, True),  # it was removed, and may come back if power fails
        (4, True, True),  # that was synchronized, and then the journal changed
        (5, True, False),  # the new note was written after that
        (6, True, False),  # and synchronized
    ],
)
def test_a_kill_at_any_moment_leaves_no_note_but_that_of_a_clean_stop(
    url, checks, calls, is_written, is_checked
):
    fill(url)
    checks.clear()
    with pytest.raises(subprocess.CalledProcessError, match="SIGKILL"):
        in_process(KILLED, url, str(calls))

    with open_journal(url) as journal:
        assert len(journal.executions(rid="1-NEW")) == is_written
    assert bool(checks) == is_checked


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


DAMAGES = {
    "no database": lambda content: b"this is no database" + content,
    "one page": lambda content: content[:100] + os.urandom(3000) + content[3100:],
    "later page": lambda content: content[:8192] + os.urandom(4096) + content[12288:],
    "truncated": lambda content: content[: len(content) // 2],
}


def aside(path):
    """Return the files that lie beside the journal because it was damaged."""
    return sorted(path.parent.glob("journal.db.damaged-*"))


def damaged(path, url, damage):
    fill(url)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    return path.read_bytes()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_set_aside_and_a_new_one_knows_of_it(path, url, damage):
    content, events = damaged(path, url, damage), []

    with Journal.open(url, emit=events.append) as journal:
        assert journal.executions() == []
        journal.open_execution(*PLACE)
        [known] = journal.damaged_journals()
    with Journal.open(url, emit=events.append) as journal:  # it stays the one that it is
        assert journal.damaged_journals() == [known]
        assert len(journal.executions()) == 1

    assert [file.read_bytes() for file in aside(path)] == [content]
    assert known.path == str(aside(path)[0])
    told, _ = events
    assert (told.name, told.path) == ("journal.replaced", known.path)
    assert told.why == known.why
    assert "damaged" in told.why
    assert "nothing is sent twice" in told.next


@pytest.mark.parametrize("damage", sorted(DAMAGES.keys() - {"later page"}))  # not all is read
def test_a_reader_leaves_a_damaged_journal_alone_and_says_what_the_daemon_does(path, url, damage):
    content = damaged(path, url, damage)

    with pytest.raises(JournalDamagedError) as told:
        open_readonly(url).file_counts()

    assert "damaged" in told.value.why
    assert "it renames the file, starts a new journal" in told.value.next
    assert path.read_bytes() == content
    assert aside(path) == []


def test_a_damaged_journal_that_is_held_stays_where_it_is(path, url):
    with open_journal(url):
        path.write_bytes(b"this is no database")
        with pytest.raises(JournalHeldError):
            open_journal(url)
        assert path.exists()
        assert aside(path) == []


def test_a_write_ahead_log_goes_with_its_journal(path, url):
    """A program that reads it keeps it there; a new journal must not find it."""
    fill(url)
    for name in ("journal.db-wal", "journal.db-shm"):
        path.with_name(name).write_text(name)

    rename_damaged(path, datetime(2026, 3, 1, 12, tzinfo=UTC))

    database, *beside = aside(path)
    assert database.name == "journal.db.damaged-20260301T120000.000000Z"
    names = [(file.name.removeprefix(database.name), file.read_text()) for file in beside]
    assert names == [("-shm", "journal.db-shm"), ("-wal", "journal.db-wal")]
    with open_journal(url) as journal:
        assert [each.path for each in journal.damaged_journals()] == [str(database)]


def test_a_crash_between_the_old_journal_and_the_new_one_forgets_neither(path, url):
    """Only the name was changed yet, or the new file is there without its tables."""
    for leave in (lambda: None, path.touch):
        fill(url)
        path.rename(path.with_name("journal.db.damaged-20260301T120000.000000Z"))
        leave()

        with open_journal(url) as journal:
            [known] = journal.damaged_journals()

        assert known.path == str(aside(path)[0])
        path.unlink()


def test_damage_that_shows_while_at_work_sets_the_journal_aside_at_the_end(path, url):
    """Whoever holds it stops; nobody writes between the end and the next beginning."""

    def work():
        with open_journal(url) as journal:
            journal.open_execution(*PLACE)
            wreck(path)
            while True:
                journal.open_execution("example.org/1", "/data", os.urandom(400).hex())

    with pytest.raises(JournalDamagedError, match="damaged"):
        work()
    assert aside(path)
    assert not path.exists()

    with open_journal(url) as journal:
        assert len(journal.damaged_journals()) == 1
        assert journal.executions() == []


def wreck(path):
    """Put what is no database under those who have it open; the log is in place before."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


@pytest.mark.parametrize("instead", [None, b"another file"])
def test_a_journal_that_is_taken_away_while_at_work_is_written_no_more(path, url, instead):
    """What goes into a deleted file is lost; the next journal knows that there was another."""

    def work():
        with open_journal(url) as journal:
            new = journal.open_execution(*PLACE)
            path.unlink()
            if instead:
                path.write_bytes(instead)
            journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])

    with pytest.raises(JournalDamagedError, match="deleted or moved"):
        work()

    assert [file.read_bytes() for file in aside(path)] == [b""]
    assert path.exists() == bool(instead)
    if not instead:
        with open_journal(url) as journal:
            assert len(journal.damaged_journals()) == 1


def test_a_journal_that_another_program_holds_is_written_once_that_lets_go(url, monkeypatch):
    """No event tells of what was not written."""
    monkeypatch.setattr(sqlite, "_BUSY_S", 0.05)
    events = []
    with Journal.open(url, emit=events.append) as journal:
        new = journal.open_execution(*PLACE)
        other = sqlite3.connect(journal.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        told = len(events)

        with pytest.raises(TransientError, match="database is locked") as refused:
            journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
        assert "Stop the program that locks it" in refused.value.next
        assert journal.execution(new.id) == new
        assert len(events) == told

        other.close()
        journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
        assert [event.name for event in events[told:]] == ["execution.ready"]


def test_a_journal_that_may_not_be_written_for_a_while_is_no_matter_of_settings(url):
    """It could be written when it was opened: the disk went read-only, and may come back."""
    with open_journal(url) as journal:
        new = journal.open_execution(*PLACE)
        connection = journal._writer._engine.raw_connection()
        connection.execute("PRAGMA query_only=ON")
        connection.close()

        with pytest.raises(TransientError, match="readonly"):
            journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])

        connection = journal._writer._engine.raw_connection()
        connection.execute("PRAGMA query_only=OFF")
        connection.close()
        journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
        assert journal.execution(new.id).state is ExecutionState.READY


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
        journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
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
from deriva_watch.core.changes import (MoveExecution)
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.journal import Journal
journal = Journal.open(sys.argv[1], emit=lambda _: None)
new = journal.open_execution(*{PLACE!r})
journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED)])
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
