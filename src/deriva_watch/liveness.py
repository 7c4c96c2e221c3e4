"""Which threads make progress, by signs of life that they give, not by a timer.

A thread that must not hang calls `begin`. Then every `beat` in that thread is a sign of life: at
every request, block of bytes, file and iteration. In threads that are not watched it does nothing.
While a thread depends on a root or the server, its silence is theirs: a hang, and no fault of the
thread. Like `threading.enumerate`, this is one list for the process; the supervisor reads it.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

SILENT_S: Final = 300.0  # a thread that depends on nothing outside may compute so long
LANE: Final = "lane-"  # how the names of threads begin that serve lanes
METADATA_S: Final = 10.0  # whatever is asked for a name, a state or a small answer has so long
SLOW_S: Final = 2.0  # after this long, what shares threads with a call gets other ones
BLOCK_S: Final = 60.0  # the same for a block of bytes


@dataclass(slots=True, eq=False)
class Pulse:
    """The signs of life of one thread; times are of `time.monotonic`."""

    name: str
    thread: threading.Thread
    longer_s: float = 0.0  # how much longer it may wait
    at_s: float = 0.0  # of the last sign
    about: str | None = None  # what it depends on: its silence is a hang of that
    within_s: float | None = None  # how soon that must answer; None: SILENT_S
    is_strict: bool = False  # also where a caller would wait longer
    due_s: float = math.inf  # of the next one, at the latest

    def beat(self) -> None:
        """Note a sign of life."""
        self.at_s = time.monotonic()
        within_s = SILENT_S if self.within_s is None else self.within_s
        self.due_s = self.at_s + within_s + self.longer_s


@dataclass(frozen=True, slots=True)
class Standstill:
    """A thread that has ended, or gave no sign of life for longer than it may."""

    name: str
    ended: bool
    silent_s: float
    allowed_s: float


@dataclass(frozen=True, slots=True)
class Hang:
    """A call to something outside that has not returned in time.

    Attributes:
        about: What does not answer: a root, or the server.
        thread: The thread that waits for it.
        silent_s: For how long.
        waits: That thread.
    """

    about: str
    thread: str
    silent_s: float
    waits: threading.Thread


_pulses: set[Pulse] = set()
_here = threading.local()


def begin(name: str | None = None) -> None:
    """Watch this thread from now on, by its own name or another; it replaces ended ones of it."""
    thread = threading.current_thread()
    pulse = Pulse(name or thread.name, thread)
    pulse.beat()
    for other in list(_pulses):
        if other.name == pulse.name and not other.thread.is_alive():
            _pulses.discard(other)
    _pulses.add(pulse)
    _here.pulse = pulse


def begin_idle() -> None:
    """Watch this thread, which has nothing to do yet."""
    begin()
    rest()


def end() -> None:
    """Watch this thread no longer: it ends as it should."""
    if pulse := getattr(_here, "pulse", None):
        _pulses.discard(pulse)
    _here.pulse = None


def beat() -> None:
    """Give a sign of life of this thread."""
    if pulse := getattr(_here, "pulse", None):
        pulse.beat()


def rest() -> None:
    """Note that this thread has nothing to do until its next sign of life."""
    if pulse := getattr(_here, "pulse", None):
        pulse.about = pulse.within_s = None
        pulse.due_s = math.inf


@contextmanager
def depending_on(
    about: object, within_s: float | None = None, *, strict: bool = False
) -> Iterator[None]:
    """Depend on *about*, which must answer each call within *within_s*; None: `METADATA_S`.

    If *strict*, also where `waiting` allows for more.
    """
    pulse: Pulse | None = getattr(_here, "pulse", None)
    if pulse is None:
        yield
        return
    before = pulse.about, pulse.within_s, pulse.is_strict
    within_s = METADATA_S if within_s is None else within_s
    pulse.about, pulse.within_s, pulse.is_strict = str(about), within_s, strict
    pulse.beat()
    try:
        yield
    finally:
        pulse.about, pulse.within_s, pulse.is_strict = before
        pulse.beat()


def begin_reading(about: object) -> Callable[[], None]:
    """From now on this thread reads blocks of a file of *about*; call the result at the end."""
    reading = ExitStack()
    reading.enter_context(depending_on(about, BLOCK_S))
    return reading.close


@contextmanager
def waiting(longer_s: float = math.inf) -> Iterator[None]:
    """Wait for something that may take *longer_s* more than usual; a sign of life on both sides.

    The default is for what has no end of its own, such as work for a thread that has none, and
    for what another thread does, which shows its life itself.
    """
    pulse: Pulse | None = getattr(_here, "pulse", None)
    if pulse is None:
        yield
        return
    before = pulse.longer_s
    if not (pulse.is_strict and math.isfinite(longer_s)):
        pulse.longer_s = longer_s
    pulse.beat()
    try:
        yield
    finally:
        pulse.longer_s = before
        pulse.beat()


def standstills() -> list[Standstill]:
    """Return the threads that make no progress by their own fault, or have ended."""
    now_s, found = time.monotonic(), []
    for pulse in list(_pulses):
        ended = not pulse.thread.is_alive()
        if ended or (now_s > pulse.due_s and pulse.about is None):
            found.append(
                Standstill(pulse.name, ended, now_s - pulse.at_s, pulse.due_s - pulse.at_s)
            )
    return found


def hangs() -> list[Hang]:
    """Return the calls to roots and the server that have not returned in time."""
    now_s = time.monotonic()
    return [
        Hang(about, pulse.name, now_s - pulse.at_s, pulse.thread)
        for pulse in list(_pulses)
        if now_s > pulse.due_s and (about := pulse.about) is not None
    ]


def slow() -> list[Hang]:
    """Return the calls that take longer than `SLOW_S`: they may hang, and others should go on."""
    now_s = time.monotonic()
    return [
        Hang(about, pulse.name, now_s - pulse.at_s, pulse.thread)
        for pulse in list(_pulses)
        if now_s > pulse.at_s + SLOW_S and not pulse.longer_s and (about := pulse.about) is not None
    ]


def forgive(seconds: float) -> None:
    """Let every thread be silent for so much longer: the whole process stood still."""
    for pulse in list(_pulses):
        pulse.due_s += seconds


def forget_ended() -> None:
    """Watch no thread that has ended before now."""
    for pulse in list(_pulses):
        if not pulse.thread.is_alive():
            _pulses.discard(pulse)
