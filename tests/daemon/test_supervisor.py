"""Which threads the supervisor accuses, and when."""

import threading

import pytest

from deriva_watch import liveness
from deriva_watch.daemon.supervisor import NAME, Supervisor
from deriva_watch.edges.host.problems import Problems
from deriva_watch.pipeline.journal_guard import JournalGuard


@pytest.fixture
def late_supervisor(monkeypatch):
    """Let a thread of the supervisor's name be late until the test ends."""
    begun, ends = threading.Event(), threading.Event()

    def work():
        liveness.begin(NAME)
        begun.set()
        ends.wait(30)
        liveness.end()

    monkeypatch.setattr(liveness, "SILENT_S", -1.0)
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(30)
    yield
    ends.set()
    thread.join(30)


@pytest.mark.usefixtures("late_supervisor")
def test_a_supervisor_that_is_late_once_is_not_accused(tmp_path):
    """After the whole process was stopped, the main thread may be the first to run again."""
    events, stop = [], threading.Event()
    problems = Problems(tmp_path, events.append)
    supervisor = Supervisor(problems, events.append, {}, JournalGuard(problems, stop), stop)

    supervisor.tend("watching")
    assert not events

    supervisor.tend("watching")
    assert [event.thread for event in events] == [NAME]
