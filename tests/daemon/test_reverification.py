"""What was uploaded is asked for again in the background, and what differs needs a person."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.commands.orders import retry
from deriva_watch.core.changes import MoveExecution, NoteExecution
from deriva_watch.core.errors import InterruptedWorkError, ServerAwayError, ServerBusyError
from deriva_watch.core.orders.orders import Retry
from deriva_watch.core.removal import reverification
from deriva_watch.core.removal.reverification import Pace
from deriva_watch.core.states import ExecutionState, ExecutionTrigger
from deriva_watch.daemon import reverification as thread
from deriva_watch.daemon.reverification import Reverification
from deriva_watch.edges.disk import receipts
from deriva_watch.status import summary
from engine.rig import first, image, instead
from running import wait_until

MONTH = timedelta(days=30)
BUSY = ServerBusyError("cannot ask", "503")


def now():
    return datetime.now(UTC)


class Scene:
    """An uploaded execution whose turn it is, and what verifies it."""

    def __init__(self, rig, lab, pace=MONTH):
        self.rig, self.lab = rig, lab
        self.work = Reverification(rig.parts, rig.stop, Pace(pace) if pace else None)
        self.begin = len(rig.power.names)

    @property
    def record(self):
        """What the journal knows of it."""
        return self.rig.journal.executions(rid=self.rig.rid)[0]

    def age(self, days=28):
        """Let its last verification be some days older; return when that was."""
        at = self.record.verified_at - timedelta(days=days)
        facts = {"verified_at": at, "proved_at": min(at, self.record.proved_at)}
        self.rig.journal.commit([NoteExecution(self.record.id, facts)])
        return at

    def tend(self, days=28):
        """Let it be due, and do what is due."""
        self.age(days)
        self.work.tend()

    def lose_object(self):
        """Let the server lose the object of a file; return the file."""
        file = self.rig.journal.files(self.record.id)[0]
        self.lab.api.call("DELETE", self.lab.api.url + file.url)
        return file

    def calls(self):
        """Return the names of the calls since the beginning."""
        return self.rig.power.names[self.begin :]

    def look(self):
        """Return what `status` says."""
        return summary(self.rig.journal, now())

    def person_verifies(self, read_back="none"):
        """Keep what `deriva-watch verify` keeps if nothing differs."""
        place = self.rig.settings.state_directory, self.rig.parts.server, self.rig.rid
        receipts.keep_verified(*place, {"at": now().isoformat(), "read_back": read_back})


@pytest.fixture
def scene(lab, monkeypatch):
    monkeypatch.setattr(reverification, "_PAUSE_S", 0.0)
    lab.write({image(name): f"{lab.rid} {name}".encode() for name in ("a.png", "b.png")})
    with lab.rigged() as rig:
        assert rig.upload().state is ExecutionState.UPLOADED
        yield Scene(rig, lab)


def test_the_upload_is_the_first_proof(scene):
    oldest = scene.look()["oldest_proof"]

    assert (oldest["rid"], oldest["by"]) == (scene.rig.rid, "upload")
    assert oldest["at"] == scene.record.changed_at.isoformat()
    assert "not asked again" in oldest["proved"]


def test_the_server_is_asked_for_every_object_once_the_time_has_come(scene):
    scene.work.tend()
    assert scene.calls() == []
    before = scene.age()

    scene.work.tend()

    assert scene.calls().count("store.head") == 2
    assert {name.partition(".")[0] for name in scene.calls()} == {"catalog", "store", "journal"}
    assert not [name for name in scene.calls() if name.startswith(("store.put", "catalog.insert"))]
    assert before < scene.record.proved_at == scene.record.verified_at
    assert scene.look()["oldest_proof"]["by"] == "server"
    [told] = scene.rig.told("verification.passed")
    assert (told.execution, told.files) == (scene.rig.rid, 2)


def test_a_difference_needs_a_person_and_is_told_once(scene):
    file = scene.lose_object()
    proved_at = scene.age()

    scene.work.tend()
    scene.tend(days=1)

    [told] = scene.rig.told("difference.found")
    assert f"no longer has {file.path}" in told.what
    assert "or, if the file is still here, `deriva-watch retry" in told.next
    assert f"`deriva-watch verify {scene.rig.rid}`" in told.next
    found = scene.look()
    assert found["attention"]["executions"] == 1
    assert [each["why"] for each in found["differing"]] == [told.why]
    assert found["verdict"]["text"] == "1 execution needs attention"
    assert found["verdict"]["next"] == f"deriva-watch show {scene.rig.rid}"
    assert found["oldest_proof"]["by"] == "upload"
    assert found["oldest_proof"]["at"] == proved_at.isoformat()


@pytest.mark.parametrize(("read_back", "by"), [("none", "server"), ("all", "bytes")])
@pytest.mark.parametrize("pace", [MONTH, None])
def test_a_difference_is_over_once_a_person_has_verified(scene, pace, read_back, by):
    scene.lose_object()
    scene.tend()
    work = Reverification(scene.rig.parts, scene.rig.stop, Pace(pace) if pace else None)
    work.tend()
    assert scene.record.differs

    scene.person_verifies(read_back)
    work.tend()

    assert scene.record.differs is None
    assert scene.look()["attention"]["executions"] == 0
    assert scene.look()["oldest_proof"]["by"] == by


def test_a_verification_that_is_older_than_the_difference_proves_nothing(scene):
    scene.person_verifies()
    scene.lose_object()
    work = Reverification(scene.rig.parts, scene.rig.stop, Pace(timedelta(seconds=0.01)))

    work.tend()
    assert scene.look()["oldest_proof"]["by"] == "server"
    wait_until(lambda: (work.tend(), scene.record.differs)[1])
    work.tend()

    assert scene.record.differs


def test_a_retry_ends_a_difference_until_it_is_found_again(scene):
    file = scene.lose_object()
    scene.tend()

    order = Retry(by="ann", reason=None, rid=scene.rig.rid, paths=(file.path,))
    retry.carry_out(order, scene.rig.journal)
    assert scene.record.differs is None
    scene.rig.upload()
    scene.work.tend()

    assert scene.record.differs is None
    assert scene.look()["oldest_proof"]["by"] == "server"


def test_uploads_go_first(scene):
    scene.age()
    other = scene.rig.journal.open_execution(scene.rig.parts.server, "/data", "1-ZZ")
    scene.rig.journal.commit([MoveExecution(other.id, ExecutionTrigger.COMPLETED)])

    scene.work.tend()

    assert scene.calls() == []


@contextmanager
def running(work):
    """Let a thread do what is due, until *stop* is set."""
    ended = []

    def run():
        try:
            work.tend()
        except InterruptedWorkError:
            ended.append("stopped")
        else:
            ended.append("done")

    thread = threading.Thread(target=run)
    thread.start()
    yield ended
    work.stop.set()
    thread.join(5)
    assert not thread.is_alive()


class Waits(threading.Event):
    """An event that knows how long it was waited for."""

    def __init__(self):
        super().__init__()
        self.lengths_s = []

    def wait(self, timeout=None):
        """Wait, and note it."""
        self.lengths_s.append(timeout)
        return super().wait(timeout)


def test_a_verification_waits_where_an_upload_begins_meanwhile(scene, monkeypatch):
    scene.age()
    journal = scene.rig.journal
    other = journal.open_execution(scene.rig.parts.server, "/data", "1-ZZ")
    begin = MoveExecution(other.id, ExecutionTrigger.COMPLETED)
    scene.rig.store.then["head"] = [first(lambda *_: journal.commit([begin]))]

    stop = scene.work.stop = Waits()
    monkeypatch.setattr(thread, "BUSY_S", 0.01)
    with running(scene.work) as ended:
        wait_until(lambda: thread.BUSY_S in stop.lengths_s)
        assert scene.calls().count("store.head") == 1
        journal.commit([MoveExecution(other.id, ExecutionTrigger.CHANGED)])
        wait_until(lambda: ended)

    assert ended == ["done"]
    assert scene.calls().count("store.head") == 2


def test_a_stop_ends_a_verification_at_once(scene):
    scene.age()
    scene.rig.store.then["head"] = [first(lambda *_: scene.rig.stop.set())]

    with pytest.raises(InterruptedWorkError):
        scene.work.tend()

    assert scene.calls().count("store.head") == 1
    assert scene.record.differs is None


def test_nothing_is_asked_while_the_server_is_away(scene):
    scene.age()
    scene.rig.parts.breaker.trip(ServerAwayError("cannot reach it", "it is away"))

    scene.work.tend()

    assert scene.calls() == []


def test_a_unit_that_cannot_be_verified_lets_others_go_first_and_is_told_once(scene):
    scene.age()
    scene.rig.store.then["head"] = [instead(ServerAwayError("cannot ask", "it is away"))]

    scene.work.tend()
    scene.work.tend()

    [told] = scene.rig.told("notice.added")
    assert "put off" in told.about
    assert "it is away" in told.why
    assert scene.record.differs is None
    assert scene.record.verified_at < now() - timedelta(days=27)


def test_a_unit_that_changes_meanwhile_is_not_accused(scene):
    scene.lose_object()
    scene.age()
    move = MoveExecution(scene.record.id, ExecutionTrigger.CHANGED)
    scene.rig.store.then["head"] = [first(lambda *_: scene.rig.journal.commit([move]))]

    scene.work.tend()

    assert scene.record.differs is None
    assert scene.rig.told("difference.found") == []
