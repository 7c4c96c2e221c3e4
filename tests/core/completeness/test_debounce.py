"""The debounce queue: which directory to look at next, and when."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.given import patient
from deriva_watch.core.completeness.debounce import DebounceQueue

START = datetime(2026, 1, 2, tzinfo=UTC)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def queue_of(**seconds: int) -> DebounceQueue[str]:
    queue: DebounceQueue[str] = DebounceQueue()
    for key, second in seconds.items():
        queue.put(key, at(second))
    return queue


def test_directories_come_in_the_order_of_their_times():
    queue = queue_of(b=2, a=1, c=3)

    assert [queue.take(at(9)) for _ in range(4)] == ["a", "b", "c", None]


def test_nothing_comes_before_its_time():
    queue = queue_of(a=5)

    assert queue.take(at(4)) is None
    assert queue.next_at() == at(5)
    assert queue.take(at(5)) == "a"
    assert queue.next_at() is None


def test_a_newer_word_replaces_the_older_one():
    queue = queue_of(a=1)

    queue.put("a", at(5))

    assert len(queue) == 1
    assert queue.take(at(4)) is None
    assert [queue.take(at(9)), queue.take(at(9))] == ["a", None]


def test_a_hint_never_puts_a_look_off():
    queue = queue_of(a=5)

    queue.hint("a", at(9))
    assert queue.next_at() == at(5)

    queue.hint("a", at(1))
    assert queue.next_at() == at(1)


def test_what_is_dropped_does_not_come():
    queue = queue_of(a=1, b=2)

    queue.drop("a")
    queue.drop("never seen")

    assert len(queue) == 1
    assert queue.take(at(9)) == "b"


def test_what_was_dropped_can_come_again_at_the_same_time():
    queue = queue_of(a=1)

    queue.drop("a")
    queue.put("a", at(1))

    assert [queue.take(at(9)), queue.take(at(9))] == ["a", None]


class Queue(RuleBasedStateMachine):
    """The queue against a dictionary that is searched as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: DebounceQueue[str] = DebounceQueue()
        self.times: dict[str, datetime] = {}

    keys = st.sampled_from("abcd")
    seconds = st.integers(0, 5)

    @rule(key=keys, second=seconds)
    def put(self, key: str, second: int) -> None:
        """Say when to look."""
        self.queue.put(key, at(second))
        self.times[key] = at(second)

    @rule(key=keys, second=seconds)
    def hint(self, key: str, second: int) -> None:
        """Say that something changed."""
        self.queue.hint(key, at(second))
        self.times[key] = min(at(second), self.times.get(key, at(second)))

    @rule(key=keys)
    def drop(self, key: str) -> None:
        """Forget it."""
        self.queue.drop(key)
        self.times.pop(key, None)

    @rule(second=seconds)
    def take(self, second: int) -> None:
        """Ask for the next."""
        due = {key: time for key, time in self.times.items() if time <= at(second)}

        key = self.queue.take(at(second))

        assert (key is None) is (not due)
        if key is not None:
            assert due[key] == min(due.values())
            del self.times[key]

    @invariant()
    def it_knows_what_comes_next(self) -> None:
        """Neither lost nor doubled."""
        assert len(self.queue) == len(self.times)
        assert self.queue.next_at() == min(self.times.values(), default=None)


TestQueue = Queue.TestCase
TestQueue.settings = patient
