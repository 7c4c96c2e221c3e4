"""A look that fails says so, is repeated, and stops no other unit."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deriva_watch.cleanup.unit_cleaner import UnitLocks
from deriva_watch.core.errors import (
    CredentialError,
    FileChangedError,
    JournalDamagedError,
    RefusedError,
    ServerAwayError,
    ServerBusyError,
    TransientError,
)
from deriva_watch.core.unit import Unit
from deriva_watch.daemon.looking import UnitLooks
from deriva_watch.edges.host.problems import Problems, read
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.watch.look_queue import LookQueue

UNIT = Unit(Path("/data"), "1-ABC")


class FailingRoots:
    """Roots whose looks raise *error*."""

    def __init__(self, error):
        self.error, self.followed = error, []

    def look(self, _unit):
        """Fail."""
        raise self.error

    def follow(self, _unit, *, filling):
        """Note what is followed."""
        self.followed.append(filling)


class Daemon:
    """What a look works with, around roots whose looks raise *error*."""

    def __init__(self, error, folder):
        self.events, self.probes = [], []
        self.roots, self.queue = FailingRoots(error), LookQueue()
        self.breaker = CircuitBreaker(
            "host", self.events.append, lambda: self.probes.append(1), lambda: False, 1.0
        )
        assert self.breaker.allows_work()
        self.breaker._probe_at_s = 0.0  # the pause after a probe is over
        problems = Problems(folder, self.events.append)
        self.looks = UnitLooks(
            self.roots, self.queue, UnitLocks(), self.breaker, problems, self.events.append
        )

    def wait_s(self):
        """Look once; return for how long the unit is left alone then."""
        self.looks.look(UNIT)
        return (self.queue.next_at() - datetime.now(UTC)).total_seconds()

    def names(self):
        """Return the names of the events."""
        return [event.name for event in self.events]


@pytest.mark.parametrize(
    ("error", "names", "is_tripped", "is_probed"),
    [
        (FileChangedError("a.bin"), [], False, False),
        (TransientError("what", "why"), ["notice.added"], False, False),
        (OSError(5, "Input/output error"), ["notice.added"], False, False),
        (ServerBusyError("what", "503"), [], False, True),
        (RefusedError("what", "403", "next"), ["notice.added"], False, True),
        (ServerAwayError("what", "refused"), ["server.unavailable"], True, False),
        (CredentialError("what", "401", "next"), ["credential.needed"], True, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_look_that_fails_is_repeated_in_five_seconds(
    tmp_path, error, names, is_tripped, is_probed
):
    daemon = Daemon(error, tmp_path)

    assert 4 < daemon.wait_s() <= 5
    assert daemon.names() == names
    assert (daemon.breaker.error is error) == is_tripped
    assert daemon.roots.followed == [True]
    if not is_tripped:
        assert daemon.breaker.allows_work()
        assert len(daemon.probes) == 1 + is_probed


def test_a_busy_server_is_no_problem_of_the_folder_that_was_looked_at(tmp_path):
    daemon = Daemon(ServerBusyError("cannot read the catalog", "503"), tmp_path)

    daemon.wait_s()

    assert read(tmp_path, os.getpid()) == []


def test_a_bug_is_reported_and_the_look_repeated_in_a_minute(tmp_path):
    daemon = Daemon(ZeroDivisionError(), tmp_path)

    assert 59 < daemon.wait_s() <= 60
    assert daemon.names() == ["daemon.crashed"]


def test_the_error_that_tripped_the_breaker_is_no_problem_of_the_unit(tmp_path):
    error = RefusedError("cannot read the catalog", "404", "next")
    daemon = Daemon(error, tmp_path)
    daemon.breaker.trip(error)

    daemon.wait_s()

    assert daemon.names() == ["catalog.unavailable"]


def test_a_damaged_journal_ends_the_look(tmp_path):
    with pytest.raises(JournalDamagedError):
        Daemon(JournalDamagedError("what", "why", "next"), tmp_path).looks.look(UNIT)
