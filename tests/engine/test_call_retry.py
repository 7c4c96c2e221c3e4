"""A few short tries within one step."""

import threading

import pytest

from deriva_watch.core.errors import (
    CredentialError,
    FileChangedError,
    InterruptedWorkError,
    RefusedError,
    ServerAwayError,
    ServerBusyError,
    TransientError,
)
from deriva_watch.core.retry import RetryPolicy
from deriva_watch.engine.call_retry import LONGEST_S, SEVERAL, CallRetry
from running import wait_until

POLICY = RetryPolicy(initial_s=1.0, max_s=4.0, max_attempts=5)


class Clockless(threading.Event):
    """An event that nobody has to wait for; it knows how long it would have been."""

    def __init__(self):
        super().__init__()
        self.waits_s = []

    def wait(self, timeout=None):
        """Do not."""
        self.waits_s.append(timeout)
        return self.is_set()


def calling(*outcomes):
    """Return a call that raises or returns one of *outcomes* after the other, the last for ever."""
    made = []

    def call():
        made.append(outcomes[min(len(made), len(outcomes) - 1)])
        if isinstance(made[-1], Exception):
            raise made[-1]
        return made[-1]

    call.made = made
    return call


def busy(retry_after_s=None):
    return ServerBusyError("cannot do it", "it is busy", retry_after_s=retry_after_s)


def call_retry(stop=None, policy=POLICY):
    events = []
    return CallRetry(events.append, "example.org", stop or Clockless(), policy), events


def test_a_call_that_works_is_made_once():
    patient, events = call_retry()

    assert patient("GET x", call := calling(7)) == 7
    assert (len(call.made), events) == (1, [])


def test_a_call_that_fails_in_passing_is_made_again():
    patient, events = call_retry()

    assert patient("GET x", calling(busy(), busy(), 7)) == 7
    assert [(event.call, event.why) for event in events] == [("GET x", "it is busy")] * 2
    assert [event.wait_s for event in events] == patient.stop.waits_s


@pytest.mark.parametrize(
    "error",
    [
        ServerAwayError("what", "why"),  # the whole host pauses, and this call with it
        CredentialError("what", "why", "next"),
        RefusedError("what", "why", "next"),
        FileChangedError("a.bin"),
        ValueError("a bug"),
    ],
)
def test_a_call_that_would_fail_again_is_not_made_again(error):
    patient, events = call_retry()

    with pytest.raises(type(error)):
        patient("GET x", call := calling(error))

    assert (len(call.made), events) == (1, [])


def test_patience_ends_with_the_last_error():
    patient, _ = call_retry()
    errors = [busy() for _ in range(6)]

    with pytest.raises(TransientError) as raised:
        patient("GET x", call := calling(*errors, 7))

    assert raised.value is errors[5]
    assert len(call.made) == 1 + POLICY.max_attempts


def test_waits_grow_to_their_limit():
    patient, _ = call_retry()

    for _ in range(50):
        with pytest.raises(TransientError):
            patient("GET x", calling(busy()))

    rounds = zip(*[iter(patient.stop.waits_s)] * POLICY.max_attempts, strict=True)
    for waits_s, limit_s in zip(zip(*rounds, strict=True), [1, 2, 4, 4, 4], strict=True):
        assert max(waits_s) <= limit_s
        assert max(waits_s) > limit_s / 2
        assert min(waits_s) < limit_s / 2


@pytest.mark.parametrize("asked_s", [0.5, 4.0])
def test_what_the_server_asks_for_is_waited(asked_s):
    patient, _ = call_retry()

    patient("GET x", calling(busy(asked_s), 7))

    [waited_s] = patient.stop.waits_s
    assert asked_s <= waited_s <= max(asked_s, 1.0)


def test_a_longer_wait_than_ours_is_left_to_who_can_keep_it():
    """The whole host can: it is left alone for as long as it asks."""
    patient, events = call_retry()

    with pytest.raises(ServerAwayError) as raised:
        patient("GET x", calling(busy(retry_after_s=4.1), 7))

    assert raised.value.retry_after_s == 4.1
    assert (patient.stop.waits_s, events) == ([], [])


def fail(patient, name, error=None):
    """Call in vain; return what is raised."""
    with pytest.raises(TransientError) as raised:
        patient(name, calling(error or busy()))
    return raised.value


def test_what_fails_several_times_in_a_row_is_the_hosts_fault():
    patient, _ = call_retry()

    raised = [fail(patient, f"PUT chunk {number}") for number in range(SEVERAL + 1)]

    assert [type(error) is ServerAwayError for error in raised] == [False] * 2 + [True] * 2
    assert raised[-1].why == "it is busy, 4 times in a row"
    assert raised[2].retry_after_s < raised[3].retry_after_s
    assert fail(patient, "PUT chunk 9").retry_after_s <= LONGEST_S


def test_what_works_for_another_is_not_the_hosts_fault():
    patient, _ = call_retry()

    for _ in range(2 * SEVERAL):
        assert type(fail(patient, "PUT object")) is ServerBusyError
        fail(patient, "PUT chunk 1", TransientError("what", "a fault of this machine"))
        patient("PUT object", calling(7))


def test_a_fault_of_this_machine_is_never_the_hosts():
    patient, _ = call_retry()

    for _ in range(2 * SEVERAL):
        error = fail(patient, "GET x", TransientError("what", "why"))
        assert type(error) is TransientError


def test_nothing_begins_once_work_shall_stop():
    patient, _ = call_retry()
    patient.stop.set()

    with pytest.raises(InterruptedWorkError):
        patient("GET x", call := calling(7))

    assert call.made == []


def test_a_wait_ends_when_work_shall_stop():
    patient, events = call_retry(threading.Event(), RetryPolicy(initial_s=60, max_s=60))
    raised = []

    def work():
        try:
            patient("GET x", calling(busy(retry_after_s=60)))
        except InterruptedWorkError as error:
            raised.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    wait_until(lambda: events)
    patient.stop.set()
    worker.join(30)

    assert raised  # half a minute before the end of its wait
