"""What the daemon reports of its own life; see `core.events`."""

from dataclasses import dataclass
from typing import ClassVar

from deriva_watch.core.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStarted(Event):
    """The daemon has its journal and begins to look."""

    NAME: ClassVar[str] = "daemon.started"

    version: str
    pid: int
    host: str
    catalog: str
    journal: str
    roots: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStopped(Event):
    """The daemon has put everything down; the journal is closed."""

    NAME: ClassVar[str] = "daemon.stopped"

    signal: str | None
    seconds: float  # how long the stop took


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindered(Event):
    """Something that the daemon needs cannot be used; it waits, and tries again by itself."""

    NAME: ClassVar[str] = "daemon.hindered"
    LEVEL: ClassVar[str] = "error"

    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRefused(Event):
    """The settings were to be read anew and cannot be used; work goes on with those of before."""

    NAME: ClassVar[str] = "settings.refused"
    LEVEL: ClassVar[str] = "error"

    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadStuck(Event):
    """A thread stands still or has ended; systemd's watchdog is not fed while that lasts."""

    NAME: ClassVar[str] = "daemon.stuck"
    LEVEL: ClassVar[str] = "error"

    thread: str
    seconds: float  # since its last sign of life
    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadBack(Event):
    """A thread that stood still shows that it lives, or another one is in its place."""

    NAME: ClassVar[str] = "daemon.recovered"

    thread: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed(Event):
    """A bug of ours: the unit of work stops, says so, and is tried again later."""

    NAME: ClassVar[str] = "daemon.crashed"
    LEVEL: ClassVar[str] = "error"

    where: str
    why: str
    traceback: str
