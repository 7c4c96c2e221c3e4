"""Every event the program reports: name, level and fields, one class per event.

The log, the metrics and the tests receive the same values. A name never changes its meaning, and
fields are only ever added. Sizes are in bytes, durations in seconds, times in UTC.

`execution.<state>` and `file.<state>` report every change of state, after the journal has it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Literal, TypeVar, dataclass_transform

from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; `event` declares the kinds."""

    NAME: ClassVar[str]
    LEVEL: ClassVar[Level]

    @property
    def name(self) -> str:
        """The stable name of the event."""
        return self.NAME

    @property
    def level(self) -> Level:
        """The level of its log line."""
        return self.LEVEL

    def values(self) -> dict[str, Any]:
        """Return the fields that are not None."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleEvent(Event):
    """An event that says what is wrong, why, and what to do next."""

    what: str
    why: str
    next: str


Emit = Callable[[Event], None]
ALL_EVENTS: Final[list[type[Event]]] = []  # in the order of this file; filled by `event`

_E = TypeVar("_E", bound=Event)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(name: str, level: Level = "info") -> Callable[[type[_E]], type[_E]]:
    """Declare a class as the event *name*: make it a frozen dataclass and list it."""

    def declare(kind: type[_E]) -> type[_E]:
        declared = dataclass(frozen=True, slots=True, kw_only=True)(kind)
        declared.NAME, declared.LEVEL = name, level
        ALL_EVENTS.append(declared)
        return declared

    return declare


@event("execution.<state>")
class ExecutionChanged(Event):
    """An execution directory moved to another state."""

    execution: str  # RID, the name of the directory
    prefix: str  # the folder that holds deriva-ml/
    state: ExecutionState
    before: ExecutionState | None  # None: seen for the first time
    trigger: ExecutionTrigger | None
    what: str | None = None
    why: str | None = None
    next: str | None = None
    next_at: str | None = None  # time of the next look or attempt
    attempts: int | None = None
    files: dict[str, int] | None = None  # number of files by state, when an upload ends
    size_bytes: int | None = None
    seconds: float | None = None
    notices: dict[str, str] | None = None  # subject -> notice that did not stop the upload
    verdict: dict[str, Any] | None = None  # why the directory counts as complete
    unit: str | None = None  # of a drop folder: directory | batch | none
    execution_rid: str | None = None  # of the Execution created for the unit

    @property
    def name(self) -> str:
        """The name contains the state."""
        return f"execution.{self.state}"

    @property
    def level(self) -> Level:
        """A refusal is an error, a wait a warning."""
        levels: dict[ExecutionState, Level] = {
            ExecutionState.REFUSED: "error",
            ExecutionState.WAITING: "warning",
        }
        return levels.get(self.state, "info")


@event("file.<state>")
class FileChanged(Event):
    """A file moved to another state."""

    execution: str
    path: str  # below the execution directory
    state: FileState
    before: FileState | None
    trigger: FileTrigger | None
    table: str | None = None  # "schema:table"
    size_bytes: int | None = None
    md5: str | None = None  # hexadecimal
    sha256: str | None = None
    url: str | None = None  # of the object version
    rid: str | None = None
    rows: int | None = None  # of a table file: number of its rows in the catalog
    moved_to: str | None = None  # of a removed file: its new place below the drop folder
    seconds: float | None = None
    what: str | None = None
    why: str | None = None
    next: str | None = None

    @property
    def name(self) -> str:
        """The name contains the state."""
        return f"file.{self.state}"

    @property
    def level(self) -> Level:
        """Refused is an error, unmatched a warning."""
        levels: dict[FileState, Level] = {
            FileState.REFUSED: "error",
            FileState.UNMATCHED: "warning",
        }
        return levels.get(self.state, "info")


@event("notice.added", "warning")
class NoticeAdded(Event):
    """Something a person should know about a unit; it stops nothing and is also in the receipt."""

    execution: str
    about: str  # path, table or row
    why: str


@event("execution.created")
class ExecutionCreated(Event):
    """The Execution of a unit of a drop folder is in the catalog."""

    execution: str  # name of the unit
    prefix: str  # the drop folder
    execution_rid: str
    workflow: str | None  # RID


@event("execution.status_changed")
class StatusChanged(Event):
    """We changed the Status of the Execution row in the catalog."""

    execution: str
    old: str | None
    new: str


@event("receipt.written")
class ReceiptWritten(Event):
    """The receipt of an upload was written."""

    execution: str
    path: str
    files: int


@event("removal.blocked", "warning")
class RemovalBlocked(TroubleEvent):
    """Uploaded files that should be moved or deleted stay where they are."""

    execution: str
    prefix: str


@event("file.restored", "warning")
class FileRestored(Event):
    """A removal was undone: the file has its name back, or another name, or is still set aside."""

    prefix: str
    path: str  # where it was
    now: str | None  # where it is; None: still set aside
    why: str | None = None


@event("verification.passed")
class VerificationPassed(Event):
    """The server was asked again for all of an uploaded execution: it has it as it was uploaded."""

    execution: str
    prefix: str
    files: int  # that the server was asked for


@event("difference.found", "error")
class DifferenceFound(TroubleEvent):
    """The server no longer has an uploaded execution as it was uploaded; a person must act."""

    execution: str
    prefix: str


@event("order.applied")
class OrderApplied(Event):
    """The daemon carries out what a person ordered."""

    order: str  # its kind, the name of the command
    by: str  # the user who gave it
    reason: str | None
    executions: list[str]  # those it concerns
    about: str | None = None  # the RID it names; None: everything
    paths: list[str] | None = None  # the files it names; None: the whole execution


@event("order.refused", "error")
class OrderRefused(Event):
    """An order is unknown to this release or cannot be carried out; its file was moved away."""

    path: str  # where the file is now
    why: str
    next: str


@event("daemon.started")
class DaemonStarted(Event):
    """The daemon has opened its journal and starts to watch."""

    version: str
    pid: int
    host: str
    catalog: str
    journal: str
    roots: list[str]


@event("daemon.stopped")
class DaemonStopped(Event):
    """The daemon has stopped all work and closed the journal."""

    signal: str | None
    seconds: float  # duration of the stop


@event("problem.found", "error")
class ProblemFound(TroubleEvent):
    """The daemon cannot use something it needs; it waits and retries automatically."""


@event("settings.refused", "error")
class SettingsRefused(TroubleEvent):
    """The new settings cannot be used; the daemon keeps the previous ones."""


@event("thread.stuck", "error")
class ThreadStuck(TroubleEvent):
    """A thread hangs or has ended; until that changes, systemd's watchdog is not notified."""

    thread: str
    seconds: float  # since its last sign of life


@event("thread.recovered")
class ThreadRecovered(Event):
    """A thread that was stuck works again, or another one has replaced it."""

    thread: str


@event("call.hung", "error")
class CallHung(TroubleEvent):
    """A root or the server has not answered in time; what concerns it waits, all else goes on."""

    about: str  # the root, or the server
    seconds: float  # since it was asked


@event("call.returned")
class CallReturned(Event):
    """What had hung answers again."""

    about: str
    seconds: float  # since it was asked


@event("daemon.crashed", "error")
class TaskCrashed(Event):
    """A bug of ours stopped a task; the task is tried again later."""

    where: str
    why: str
    traceback: str


@event("status.listening")
class StatusPageStarted(Event):
    """The status page can be opened."""

    url: str


@event("clock.set", "warning")
class ClockSet(Event):
    """The clock of this machine was set; every directory is examined again from the start."""

    seconds: float  # by how much, forward; below 0: back


@event("journal.replaced", "error")
class JournalReplaced(TroubleEvent):
    """The journal was damaged: it was renamed, and a new one was started."""

    path: str  # where the damaged one is now


@event("root.watched")
class RootWatched(Event):
    """A root is being watched."""

    prefix: str
    observer: str  # native | polling
    why: str
    file_system: str  # its type, "" where that is not known


@event("root.missing", "warning")
class RootMissing(Event):
    """A root does not exist; it is watched as soon as it does."""

    prefix: str
    why: str
    next: str


@event("root.scanned", "debug")
class RootScanned(Event):
    """A root was scanned, to find what no file system event reported."""

    prefix: str
    directories: int  # found, or known to the journal
    ignored: int  # names that are left out on purpose; `deriva-watch check -v` lists them
    seconds: float


@event("root.backlog_found")
class BacklogFound(Event):
    """A root holds directories that are older than the daemon; they are uploaded too."""

    prefix: str
    directories: int
    next: str


@event("watch.lost", "warning")
class WatchLost(Event):
    """File system events were lost or the watcher died; a scan finds what was missed."""

    prefix: str | None
    why: str


@event("watch_limit.nearly_reached", "warning")
class WatchLimitNearlyReached(Event):
    """This user has nearly as many inotify watches as the system allows."""

    used: int
    limit: int
    next: str


@event("server.unavailable", "warning")
class ServerUnavailable(Event):
    """The server does not answer; work for it pauses, and no attempt is counted."""

    host: str
    why: str
    next_at: str


@event("server.recovered")
class ServerRecovered(Event):
    """The server answers again."""

    host: str
    seconds: float  # how long it was unavailable


@event("credential.needed", "error")
class CredentialNeeded(TroubleEvent):
    """The server does not accept our credential; work pauses until the credential changes."""

    host: str


@event("catalog.unavailable", "error")
class CatalogUnavailable(TroubleEvent):
    """The catalog does not exist, or we may not read it; work pauses until that changes."""

    host: str


@event("call.retried", "debug")
class CallRetried(Event):
    """A call failed for a passing cause and is sent again."""

    host: str
    call: str
    why: str
    wait_s: float
