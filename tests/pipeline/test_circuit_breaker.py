"""What stops all work, and what lets it continue."""

from itertools import chain, repeat

from deriva_watch.core.errors import CredentialError, TransientError
from deriva_watch.core.events import CredentialNeeded, ServerRecovered
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from running import wait_until

NO_SESSION = CredentialError("cannot log in to h", "h has no session for our credential", "Log in.")
AWAY = TransientError("cannot reach h", "it is away")


def breaker(*answers):
    """Return a breaker whose probes are answered by *answers*, then well; and its events."""
    events, left = [], chain(answers, repeat(None))

    def probe():
        if error := next(left):
            raise error

    return CircuitBreaker("h", events.append, probe, lambda: False, 60.0), events


def test_one_401_stops_work_until_the_next_probe_and_needs_no_new_credential():
    tripped, events = breaker(None)
    tripped.trip(NO_SESSION)

    wait_until(tripped.allows_work)

    assert [type(event) for event in events] == [CredentialNeeded, ServerRecovered]


def test_a_credential_that_stays_refused_is_reported_once_and_asked_ever_more_rarely():
    tripped, events = breaker(*repeat(NO_SESSION, 3))
    pauses = []
    for _ in range(3):
        tripped.trip(NO_SESSION)
        tripped._probe_at_s = 0.0
        assert not tripped.allows_work()
        pauses.append(tripped._pause_s)

    assert pauses == [2.0, 4.0, 8.0]
    assert [type(event) for event in events] == [CredentialNeeded]


def test_a_pause_after_a_refused_credential_grows_beyond_that_of_a_server_that_is_away():
    longest = {}
    for error in (NO_SESSION, AWAY):
        tripped, _ = breaker(*repeat(error, 20))
        tripped.trip(error)
        for _ in range(20):
            tripped._probe_at_s = 0.0
            tripped.allows_work()
        longest[error] = tripped._pause_s

    assert longest == {NO_SESSION: 300.0, AWAY: 10.0}


def test_a_doubt_is_kept_until_a_probe_has_answered_it():
    asked, events = breaker(None, AWAY)
    assert asked.allows_work()

    asked.probe_soon()  # within the pause after the probe
    assert not asked.allows_work()
    assert not asked.allows_work()
    asked._probe_at_s = 0.0

    assert not asked.allows_work()
    assert asked.error is AWAY
    assert len(events) == 1
