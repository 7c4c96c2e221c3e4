"""The steps that touch the bytes of files: each for itself, and all stopped at once."""

import errno
import hashlib
import threading
import time
from collections import Counter
from concurrent.futures import Future

import pytest

from deriva_watch.core.errors import (
    CredentialError,
    FileChangedError,
    InterruptedWorkError,
    RefusedError,
    ServerAwayError,
    TransientError,
)
from engine.rig import BUSY, first, image, instead
from running import requests_seen, wait_until

MIB = 1024 * 1024
NAMES = [f"execution-asset/Model_File/{number:02}" for number in range(30)]
AWAY = ServerAwayError("cannot store", "it does not answer")


class Disk:
    """A directory that opens some of its files in its own way."""

    def __init__(self, disk, **opening):
        self._disk, self._opening = disk, opening

    def __getattr__(self, name):
        return getattr(self._disk, name)

    def open(self, entry):
        """Open a file; its name says how."""
        act = self._opening.get(f"_{entry.path[-2:]}")
        return act(self._disk.open(entry)) if act else self._disk.open(entry)


class Slow:
    """A file that takes its time, and more of it the longer it is read."""

    def __init__(self, body, pause_s=0.05):
        self._body, self._pause_s, self.reads = body, pause_s, 0

    def __getattr__(self, name):
        return getattr(self._body, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._body.close()

    def readinto(self, buffer):
        """Fill the buffer, for ever."""
        self.reads += 1
        time.sleep(self._pause_s)
        buffer[:] = bytes(len(buffer))
        return len(buffer)


def failing(error):
    def act(body):
        body.close()
        raise error

    return act


def hash_all(rig, upload):
    rig.parts.uploader.files.hash(upload, NAMES)
    upload.commit()


def hashed(rig):
    """Return the upload of the execution, with its files hashed."""
    upload = rig.begun()
    hash_all(rig, upload)
    return upload


@pytest.fixture
def many(lab):
    """An execution with thirty files."""
    lab.write({name: f"{name} {lab.rid}" for name in NAMES})
    return lab


# ---------------------------------------------------------------- what is found out


def test_digests_are_those_of_the_content(many):
    with many.rigged() as rig:
        hashed(rig)

    for path, file in many.files().items():
        content = f"{path} {many.rid}".encode()
        assert (file.state, file.size_bytes) == ("hashed", len(content))
        assert file.md5 == hashlib.md5(content).hexdigest()
        assert file.sha256 == hashlib.sha256(content).hexdigest()


def test_what_many_files_came_to_is_written_down_together(many):
    with many.rigged() as rig:
        hashed(rig)

    assert rig.power.names.count("journal.submit") < 10


def test_every_byte_is_reported_once_read_and_once_sent(many):
    with many.rigged() as rig:
        upload = hashed(rig)
        rig.parts.uploader.files.store(upload, NAMES)

    moved = Counter()
    for path, phase, count in rig.moved:
        moved[path, phase] += count
    size = {path: file.size_bytes for path, file in many.files().items()}
    assert moved == {(path, phase): size[path] for path in NAMES for phase in ("hash", "send")}


# ---------------------------------------------------------------- one that fails


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (RefusedError("cannot read it", "it is a pipe", "Remove it."), "refused", "it is a pipe"),
        (OSError(errno.ELOOP, "Too many links"), "refused", "Too many links"),
        (OSError(errno.EIO, "Input/output error"), "found", None),
        (OSError(errno.EMFILE, "Too many open files"), "found", None),
        (FileNotFoundError(), "gone", None),
        (FileChangedError("it changed"), "found", None),
    ],
)
def test_a_file_that_cannot_be_read_does_not_stop_its_neighbours(many, error, state, why):
    with many.rigged() as rig:
        upload = rig.begun()
        upload.disk = Disk(upload.disk, _07=failing(error))
        hash_all(rig, upload)

    states = many.states()
    assert states.pop(NAMES[7]) == state
    assert {*states.values()} == {"hashed"}
    assert many.files()[NAMES[7]].why == why
    assert upload.changed == ({NAMES[7]} if isinstance(error, FileChangedError) else set())
    assert bool(upload.transient) == (state == "found" and not upload.changed)


def test_a_passing_error_leaves_a_file_where_it_was_and_is_remembered(many):
    """CallRetry has ended; the execution comes back to this file later."""
    with many.rigged() as rig:
        upload = hashed(rig)
        rig.store.then["make_namespace"] = [instead(BUSY)] * 9
        rig.parts.uploader.files.store(upload, [NAMES[7]])
        rig.parts.uploader.files.store(upload, NAMES[8:])

    assert upload.transient is BUSY
    assert many.states()[NAMES[7]] == "hashed"
    assert {many.states()[name] for name in NAMES[8:]} == {"stored"}


# ---------------------------------------------------------------- what stops all


@pytest.mark.parametrize("error", [AWAY, CredentialError("w", "y", "n"), ZeroDivisionError()])
def test_what_concerns_all_stops_all_and_leaves_the_rest_where_it_was(many, error):
    with many.rigged() as rig:
        upload = hashed(rig)
        rig.store.then["put"] = [instead(error)]
        with pytest.raises(type(error)):
            rig.parts.uploader.files.store(upload, NAMES)

    states = Counter(many.states().values())
    assert states["hashed"] + states["stored"] == len(NAMES)
    assert states["hashed"] > len(NAMES) - 3 * rig.settings.transfer.connections
    assert upload.transient is None


def test_an_error_goes_out_once_nothing_runs_any_more(many):
    """Whoever hears of it may begin the execution again."""
    busy, late = threading.Event(), []

    def finish_late(*_):
        busy.set()
        time.sleep(0.3)
        late.append(time.monotonic())

    def fail_early(*_):
        busy.wait(30)
        raise AWAY

    with many.rigged() as rig:
        upload = hashed(rig)
        rig.store.then["put"] = [first(finish_late), fail_early]
        with pytest.raises(ServerAwayError):
            rig.parts.uploader.files.store(upload, NAMES)
        told = time.monotonic()

    assert late
    assert late[0] <= told


def test_a_journal_that_cannot_be_written_stops_all_once_nothing_runs_any_more(many):
    class Full:
        """A journal whose disk is full."""

        def submit(self, _):
            """Fail, as long as it is."""
            failed = Future()
            failed.set_exception(TransientError("cannot write the journal", "disk is full"))
            return failed

    with many.rigged() as rig:
        upload = rig.begun()
        bodies = []

        def slow(body):
            bodies.append(Slow(body))
            return bodies[0]

        upload.disk = Disk(upload.disk, _00=slow)
        upload.journal = Full()
        stopper = threading.Timer(1.0, rig.stop.set)
        stopper.start()
        with pytest.raises(TransientError, match="disk is full"):
            hash_all(rig, upload)

        assert bodies[0].closed
        assert rig.stop.is_set()
    assert {*many.states().values()} == {"found"}


# ---------------------------------------------------------------- the stop event


def test_the_stop_event_ends_a_long_reading(many):
    with many.rigged() as rig:
        upload, bodies, read = rig.begun(), [], []

        def slow(body):
            bodies.append(Slow(body))
            return bodies[0]

        def stop():
            wait_until(lambda: rig.moved)
            read.append(bodies[0].reads)
            rig.stop.set()

        upload.disk = Disk(upload.disk, _00=slow)
        threading.Thread(target=stop, daemon=True).start()
        with pytest.raises(InterruptedWorkError):
            hash_all(rig, upload)

        assert bodies[0].reads - read[0] <= 2
    assert many.states()[NAMES[0]] == "found"


def test_the_stop_event_ends_a_long_sending(lab):
    """In the middle of a request's body."""
    path = "execution-asset/Model_File/large.bin"
    lab.write({path: bytes(64 * MIB)})

    with lab.rigged(chunk_bytes=100 * MIB) as rig:
        upload = rig.begun()
        files = rig.parts.uploader.files
        files.hash(upload, [path])
        read = len(rig.moved)
        stopper = threading.Thread(
            target=lambda: (wait_until(lambda: len(rig.moved) > read), rig.stop.set())
        )
        stopper.start()
        with pytest.raises(InterruptedWorkError):
            files.store(upload, [path])

    sent = sum(count for _, phase, count in rig.moved if phase == "send")
    assert 0 < sent < 64 * MIB
    assert lab.states() == {path: "hashed"}


def test_small_files_cost_little_more_than_a_request_each(lab):
    """deriva-py makes four, one after the other."""
    before = len(requests_seen(lab.ready))

    record, _ = lab.upload({image(f"{n}.bin"): f"{n} of {lab.rid}" for n in range(40)})

    assert record.state == "uploaded"
    assert len(requests_seen(lab.ready)) - before < 40 * 1.5
