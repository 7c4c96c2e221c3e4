"""Everything the daemon reports: names and fields, one frozen value an event.

The log, the metrics and the tests are sinks of the same value. A name never changes its meaning;
fields are only ever added. Sizes are bytes, durations seconds, times UTC.

`execution.<state>` and `file.<state>` report every change of state, after the journal has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from deriva_watch.core.events.daemon_events import (
    Crashed,
    DaemonStarted,
    DaemonStopped,
    Hindered,
    SettingsRefused,
    ThreadBack,
    ThreadStuck,
)
from deriva_watch.core.events.event import Event
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger

__all__ = [  # what comes from elsewhere; who imports an event need not know where it stands
    "Crashed",
    "DaemonStarted",
    "DaemonStopped",
    "Event",
    "Hindered",
    "SettingsRefused",
    "ThreadBack",
    "ThreadStuck",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionChanged(Event):
    """`execution.<state>`: an execution directory moved to another state."""

    NAME: ClassVar[str] = "execution.<state>"

    execution: str  # RID, the name of the directory
    prefix: str  # the folder that holds deriva-ml/
    state: ExecutionState
    before: ExecutionState | None  # None: seen for the first time
    trigger: ExecutionTrigger | None
    what: str | None = None
    why: str | None = None
    next: str | None = None
    next_at: str | None = None  # when it is looked at or tried again
    attempts: int | None = None
    files: dict[str, int] | None = None  # files by state, when an upload ends
    size_bytes: int | None = None
    seconds: float | None = None
    notices: dict[str, str] | None = None  # what stopped nothing, by what it is about
    verdict: dict[str, Any] | None = None  # why the directory counts as complete
    unit: str | None = None  # of a drop folder: directory | batch | none
    execution_rid: str | None = None  # of the Execution that was made for the unit

    @property
    def name(self) -> str:
        """The name carries the state."""
        return f"execution.{self.state}"

    @property
    def level(self) -> str:
        """A refusal is an error, a wait a warning."""
        return {ExecutionState.REFUSED: "error", ExecutionState.WAITING: "warning"}.get(
            self.state, "info"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChanged(Event):
    """`file.<state>`: a file moved to another state."""

    NAME: ClassVar[str] = "file.<state>"

    execution: str
    path: str  # below the execution directory
    state: FileState
    before: FileState | None
    trigger: FileTrigger | None
    table: str | None = None  # "schema:table"
    size_bytes: int | None = None
    md5: str | None = None  # hexadecimal
    sha256: str | None = None
    url: str | None = None  # the object version
    rid: str | None = None
    rows: int | None = None  # of a file of rows: how many are in the catalog
    moved_to: str | None = None  # of one that was removed: where it is, below the drop folder
    seconds: float | None = None
    what: str | None = None
    why: str | None = None
    next: str | None = None

    @property
    def name(self) -> str:
        """The name carries the state."""
        return f"file.{self.state}"

    @property
    def level(self) -> str:
        """Refused is an error, unmatched a warning."""
        return {FileState.REFUSED: "error", FileState.UNMATCHED: "warning"}.get(self.state, "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusListening(Event):
    """The status page can be opened."""

    NAME: ClassVar[str] = "status.listening"

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RootWatched(Event):
    """A root is being watched."""

    NAME: ClassVar[str] = "root.watched"

    prefix: str
    observer: str  # native | polling
    why: str
    file_system: str  # its type, "" where that is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class RootMissing(Event):
    """A root is not there; it is watched as soon as it is."""

    NAME: ClassVar[str] = "root.missing"
    LEVEL: ClassVar[str] = "warning"

    prefix: str
    why: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RootScanned(Event):
    """A root was gone through for what no event told."""

    NAME: ClassVar[str] = "root.scanned"
    LEVEL: ClassVar[str] = "debug"

    prefix: str
    directories: int  # found, or known to the journal
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogFound(Event):
    """A root holds directories that were there before the daemon: they are taken too."""

    NAME: ClassVar[str] = "root.backlog"

    prefix: str
    directories: int
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchScarce(Event):
    """This user has nearly all the inotify watches that it may have."""

    NAME: ClassVar[str] = "watch.scarce"
    LEVEL: ClassVar[str] = "warning"

    used: int
    limit: int
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchLost(Event):
    """File system events were lost or the watcher died; a scan makes up for it."""

    NAME: ClassVar[str] = "watch.lost"
    LEVEL: ClassVar[str] = "warning"

    prefix: str | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet(Event):
    """The clock of this machine was set: everything is looked at anew, from the beginning."""

    NAME: ClassVar[str] = "clock.set"
    LEVEL: ClassVar[str] = "warning"

    seconds: float  # by how much, forward; below 0: back


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAway(Event):
    """The server gives no answer; work for it pauses, nothing is lost, no attempt is counted."""

    NAME: ClassVar[str] = "server.away"
    LEVEL: ClassVar[str] = "warning"

    host: str
    why: str
    next_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBack(Event):
    """The server answers again."""

    NAME: ClassVar[str] = "server.back"

    host: str
    seconds: float  # how long it was away


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialNeeded(Event):
    """The server does not know us; work pauses until the credential changes."""

    NAME: ClassVar[str] = "credential.needed"
    LEVEL: ClassVar[str] = "error"

    host: str
    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRefused(Event):
    """There is no such catalog, or it may not be read; work pauses until that is mended."""

    NAME: ClassVar[str] = "catalog.refused"
    LEVEL: ClassVar[str] = "error"

    host: str
    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSetAside(Event):
    """The journal was damaged: it lies elsewhere now, and what it knew is found out anew."""

    NAME: ClassVar[str] = "journal.set_aside"
    LEVEL: ClassVar[str] = "error"

    path: str  # where it lies now
    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRetried(Event):
    """A call failed in passing and is sent again."""

    NAME: ClassVar[str] = "call.retried"
    LEVEL: ClassVar[str] = "debug"

    host: str
    call: str
    why: str
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed(Event):
    """Something a person should know that stops nothing: it also stands in the receipt."""

    NAME: ClassVar[str] = "execution.noticed"
    LEVEL: ClassVar[str] = "warning"

    execution: str
    about: str  # path, table or row
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionMade(Event):
    """The Execution of a unit of a drop folder is in the catalog."""

    NAME: ClassVar[str] = "execution.made"

    execution: str  # name of the unit
    prefix: str  # the drop folder
    execution_rid: str
    workflow: str | None  # RID


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMoved(Event):
    """The Status of the Execution row in the catalog was moved by us."""

    NAME: ClassVar[str] = "execution.status_moved"

    execution: str
    old: str | None
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalHeld(Event):
    """Files that are uploaded, and should be moved or deleted, stay where they are."""

    NAME: ClassVar[str] = "removal.held"
    LEVEL: ClassVar[str] = "warning"

    execution: str
    prefix: str
    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePutBack(Event):
    """A file that was set aside to be removed is back under another name, or could not be."""

    NAME: ClassVar[str] = "file.put_back"
    LEVEL: ClassVar[str] = "warning"

    prefix: str
    path: str  # where it was
    now: str | None  # where it is; None: it lies aside still
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptWritten(Event):
    """The proof of what the server holds was written."""

    NAME: ClassVar[str] = "receipt.written"

    execution: str
    path: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTaken(Event):
    """What a person ordered is carried out."""

    NAME: ClassVar[str] = "order.taken"

    order: str  # its kind, as the command is called
    by: str  # the user who gave it
    reason: str | None
    executions: list[str]  # those that it concerns
    about: str | None = None  # the RID that it names; None: everything
    paths: list[str] | None = None  # of files of it; None: all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSetAside(Event):
    """An order is none that this release knows, or cannot be carried out: it is left out."""

    NAME: ClassVar[str] = "order.set_aside"
    LEVEL: ClassVar[str] = "error"

    path: str  # where it lies now
    why: str
    next: str


ALL_EVENTS: Final = (
    ExecutionChanged,
    FileChanged,
    DaemonStarted,
    DaemonStopped,
    StatusListening,
    RootWatched,
    RootMissing,
    RootScanned,
    BacklogFound,
    WatchLost,
    WatchScarce,
    ClockSet,
    ServerAway,
    ServerBack,
    CredentialNeeded,
    CatalogRefused,
    Hindered,
    SettingsRefused,
    ThreadStuck,
    ThreadBack,
    JournalSetAside,
    CallRetried,
    Noticed,
    ExecutionMade,
    StatusMoved,
    RemovalHeld,
    FilePutBack,
    ReceiptWritten,
    OrderTaken,
    OrderSetAside,
    Crashed,
)


Emit = Callable[[Event], None]
