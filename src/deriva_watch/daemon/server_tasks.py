"""What the daemon does about the server, besides uploads: probe it, keep the session, catch up.

It has a lane of its own: a server that does not answer holds up nothing else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from deriva_watch.core.error_effects import classify
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.journal import Journal
from deriva_watch.liveness import METADATA_S, depending_on
from deriva_watch.pipeline.attempt import Attempts
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.input_fingerprint import InputFingerprint
from deriva_watch.pipeline.session import LoginSession

_CHECK_S: Final = 0.5  # how often it is checked what is due
_CATCH_UP_S: Final = 5.0  # how often the inputs of refusals are checked for changes


@dataclass(slots=True)
class ServerTasks:
    """Keeps the connection to one server in order.

    Attributes:
        breaker: Lets work continue while the server answers.
        session: Keeps the credential current.
        journal: Has the refusals.
        fingerprint: Finds those that may be tried again.
        attempts: Finishes the open work of deleted units.
        problems: Where it is reported what is wrong with the server or the session.
    """

    breaker: CircuitBreaker
    session: LoginSession
    journal: Journal
    fingerprint: InputFingerprint
    attempts: Attempts
    problems: Problems
    _catch_up_s: float = 0.0

    def check(self) -> bool:
        """Send the probe that is due; return whether the server can be used again just now."""
        was_tripped, is_back = self.breaker.error is not None, False
        if self.breaker.allows_work():
            is_back = was_tripped
            with self.breaker.tripping():
                self.problems.report("the session", self.session.refresh())
        self.problems.put("the server", self.breaker.error)
        return is_back

    def catch_up(self) -> list[ExecutionRecord]:
        """Retry refusals whose inputs have changed, then cancel abandoned upload jobs.

        Returns the executions to look at, as they were.
        """
        now_s = time.monotonic()
        if self.breaker.error is not None or now_s < self._catch_up_s:
            return []
        self._catch_up_s = now_s + _CATCH_UP_S
        try:
            reopened = self.fingerprint.reopen_changed(self.journal, self.attempts.server)
            self.attempts.sweep()
        except Exception as error:
            if not self.breaker.learn(classify(error, "cannot catch up with the server")):
                raise
            return []
        return reopened


@dataclass(slots=True)
class ServerLane:
    """What the lane of the server does.

    Attributes:
        about: The server, for people.
        tasks: What is to be done.
        back: Called when the server can be used again.
        again: Called with each execution that may be tried again.
    """

    about: str
    tasks: ServerTasks
    back: Callable[[], None]
    again: Callable[[ExecutionRecord], None]
    _due_s: float = 0.0

    def due_s(self) -> float:
        """Return when to check what is due, by `time.monotonic`."""
        return self._due_s

    def turn(self) -> None:
        """Do what is due."""
        self._due_s = time.monotonic() + _CHECK_S
        with depending_on(self.about, METADATA_S, strict=True):
            is_back = self.tasks.check()
        if is_back:
            self.back()
        for record in self.tasks.catch_up():
            self.again(record)
