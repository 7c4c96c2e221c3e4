"""Watches the threads of the daemon: reports those that hang, and feeds systemd's watchdog.

The watchdog is fed only while every thread works; otherwise systemd restarts the daemon.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from deriva_watch import liveness
from deriva_watch.core.errors import LostThreadError, TroubleError
from deriva_watch.core.events import Emit, ThreadRecovered, ThreadStuck
from deriva_watch.edges.host import systemd
from deriva_watch.edges.host.problems import Problems
from deriva_watch.liveness import Standstill
from deriva_watch.pipeline.journal_guard import JournalGuard

LOOK_S: Final = 5.0  # how often the threads are checked
NAME: Final = "supervisor"


@dataclass(slots=True)
class Supervisor:
    """A thread that checks all others.

    Attributes:
        problems: Where it reports threads that do not work.
        emit: Where the events go.
        restarts: By the name of a thread, what starts another one in its place.
        guard: Ends the process where a thread ended that has no restart.
        stop: Once set, threads may end.
    """

    problems: Problems
    emit: Emit
    restarts: Mapping[str, Callable[[], None]]
    guard: JournalGuard
    stop: threading.Event
    _status: str = "starting"
    _sent: str = ""  # the status that systemd has
    _said: dict[str, Standstill] = field(default_factory=dict)
    _is_late: bool = False  # whether the supervisor itself was late when it was last checked

    def start(self) -> None:
        """Start; threads that ended before are not ours."""
        liveness.forget_ended()
        self._start()

    def _start(self) -> None:
        threading.Thread(target=self._work, name=NAME, daemon=True).start()

    def tend(self, status: str) -> None:
        """Check the supervisor itself; *status* is what systemd shows while all is well.

        Once is not enough: after the whole process was stopped, this thread may be the first to
        run again.
        """
        self._status = status
        found = next((each for each in liveness.standstills() if each.name == NAME), None)
        if found and found.ended:
            self._start()
        elif found and self._is_late:
            self._stands_still(found)
        self._is_late = found is not None

    def _work(self) -> None:
        liveness.begin()
        last_s = time.monotonic()
        while not self.stop.is_set():
            pause_s = min(LOOK_S, systemd.watchdog_s() or LOOK_S)
            self.stop.wait(pause_s)
            liveness.beat()
            now_s = time.monotonic()
            late_s, last_s = now_s - last_s - pause_s, now_s
            if late_s > LOOK_S:  # the whole process was stopped, as with its virtual machine
                liveness.forgive(late_s)
            self._look()

    def _look(self) -> None:
        found = {each.name: each for each in liveness.standstills()}
        if self.stop.is_set():
            return
        status = self._status
        if found:
            first = next(iter(found.values()))
            status = f"{_what(first)}: {_why(first)}"
        alive = () if found else ("WATCHDOG=1",)
        changed = (f"STATUS={status}",) if status != self._sent else ()
        if alive or changed:
            systemd.notify(*alive, *changed)
        self._sent = status
        for name in self._said.keys() - found.keys():
            self._well_again(name)
        for each in found.values():
            self._stands_still(each)

    def _stands_still(self, found: Standstill) -> None:
        """Report it once, and start another thread where one has ended."""
        error = TroubleError(_what(found), _why(found), self._next(found))
        before = self._said.get(found.name)
        if before is None or before.ended != found.ended:
            self._said[found.name] = found
            silent_s = round(found.silent_s, 1)
            self.emit(ThreadStuck(thread=found.name, seconds=silent_s, **error.sentence()))
            self.problems.put(_about(found.name), error)
        if found.ended and found.name in self.restarts:
            self.restarts[found.name]()
        elif found.ended:
            self.guard.end(LostThreadError(error.what, error.why, error.next))

    def _well_again(self, name: str) -> None:
        del self._said[name]
        self.problems.put(_about(name), None)
        self.emit(ThreadRecovered(thread=name))

    def _next(self, found: Standstill) -> str:
        if not found.ended:
            return (
                "systemd's watchdog restarts the daemon. Without systemd, restart it yourself; it "
                "continues where it stopped. Disks or file servers that do not answer are the "
                "usual cause."
            )
        if found.name in self.restarts:
            return "It is restarted; please report this with the log."
        return "The daemon exits, to be restarted; please report this with the log."


def _about(name: str) -> str:
    return f"thread {name}"


def _what(found: Standstill) -> str:
    return f"the thread {found.name} {'has ended' if found.ended else 'makes no progress'}"


def _why(found: Standstill) -> str:
    if found.ended:
        return "it must run as long as the daemon does"
    return f"no progress for more than {found.allowed_s:.0f} s"
