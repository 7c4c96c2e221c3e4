"""A journal that tests lead executions and files through, and a look at it from outside."""

import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile
from deriva_watch.core.states import ExecutionTrigger, FileState, FileTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.status import open_views, summary

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SENTENCE = {"what": "cannot store a.tif", "why": "403", "next": "Ask, then `retry 1-AA`."}
WAY = (FileTrigger.HASHED, FileTrigger.STORED, FileTrigger.RECORDED, FileTrigger.LINKED)


class Lab:
    """A journal, and what a look at it says."""

    def __init__(self, journal, url, clock):
        self.journal, self.url, self.clock = journal, url, clock

    def claimed(self, rid="1-AA", **sizes):
        """Return an execution that is worked at, and its files by name."""
        new = self.journal.open_execution("data.example.org/1", "/data", rid)
        begun = [ExecutionTrigger.COMPLETED, ExecutionTrigger.CLAIMED]
        moves = [MoveExecution(new.id, trigger) for trigger in begun]
        adding = [AddFile(new.id, name, {"size_bytes": size}) for name, size in sizes.items()]
        numbers = self.journal.commit([*moves, *adding])
        return new.id, dict(zip(sizes, numbers[len(moves) :], strict=True))

    def bring(self, file, to=FileState.LINKED, seconds=None):
        """Lead a file on its way to a state."""
        steps = WAY[: [trigger.value for trigger in WAY].index(to.value) + 1]
        self.journal.commit([MoveFile(file, trigger, seconds=seconds) for trigger in steps])

    def end(self, number, trigger=ExecutionTrigger.FINISHED, **facts):
        """Move an execution, as a worker does when it is through with it."""
        self.journal.commit([MoveExecution(number, trigger, facts)])

    def uploaded(self, rid, **sizes):
        """Return an execution that is in, with all its files."""
        number, files = self.claimed(rid, **sizes)
        moves = [MoveFile(file, trigger) for file in files.values() for trigger in WAY]
        self.journal.commit([*moves, MoveExecution(number, ExecutionTrigger.FINISHED)])
        return number

    def refused(self, rid):
        """Return an execution whose only file is refused."""
        number, files = self.claimed(rid, a=7)
        self.journal.commit([MoveFile(files["a"], FileTrigger.REFUSED, SENTENCE)])
        self.end(number, ExecutionTrigger.REFUSED, **SENTENCE)
        return number

    def look(self, later_s=0):
        """Return the summary as another process sees it, some time later."""
        return summary(open_views(self.url), self.clock.time + timedelta(seconds=later_s))


@cache
def empty_journal():
    """Return the bytes of a journal in which nothing is yet: migrations take longer than a test."""
    with tempfile.TemporaryDirectory() as folder:
        Journal.open(f"sqlite:///{folder}/journal.db", emit=lambda _: None).close()
        return Path(folder, "journal.db").read_bytes()


def clock_at(time):
    """Return a clock that shows *time* until a test turns it."""
    clock = SimpleNamespace(time=time)
    clock.now = lambda: clock.time
    return clock


@contextmanager
def laboratory(folder):
    """Yield a journal that is open, with a clock that a test turns."""
    clock = clock_at(NOW)
    url = f"sqlite:///{folder}/journal.db"
    Path(folder, "journal.db").write_bytes(empty_journal())
    with Journal.open(url, emit=lambda _: None, clock=clock) as journal:
        yield Lab(journal, url, clock)
