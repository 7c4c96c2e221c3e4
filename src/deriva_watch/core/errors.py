"""The errors that this package raises on purpose, by who must act.

WatchError
├── TroubleError           has a sentence for a person: what, why, what next
│   ├── TransientError     nobody has to act; it is tried again
│   │   ├── ShortageError     this machine lacks descriptors, memory or space
│   │   ├── ServerBusyError   the server answers that it cannot do it now
│   │   └── ServerAwayError   the server can do nothing now: all work stops
│   ├── CredentialError    somebody must log in; all work stops, nothing is lost
│   ├── RefusedError       trying again cannot help; a person must act
│   │   └── UnusableSpecError   the bulk spec must be corrected
│   ├── SettingsError      the configuration is wrong
│   ├── JournalHeldError   another instance holds the journal
│   ├── JournalDamagedError   the process ends; the next one sets the journal aside
│   └── LostThreadError    our bug: a thread ended by itself; the process restarts
├── InterruptedWorkError   the daemon stops, or a person holds the work back
├── DerivaMLException      the library was asked for something impossible
├── AnswerPendingError     the server was asked and has not answered yet: look again
├── FileChangedError       a file changed while we read it: look at it again
└── IllegalTransitionError our bug

What each of them means for the work that it ended is decided in `core.error_effects`.
"""

from dataclasses import dataclass
from shlex import quote

from deriva_watch.core.prose import Sentence, shortened


class WatchError(Exception):
    """Everything this package raises on purpose."""


def addressed(then: str, rid: str) -> str:
    """Return the next step, with the execution in place of "RID" in its command."""
    return then.replace("deriva-watch retry RID", f"deriva-watch retry {quote(rid)}")


@dataclass(eq=False)  # exceptions must stay hashable
class TroubleError(WatchError):
    """An error with a sentence for a person.

    Attributes:
        what: What could not be done, with the name of the thing.
        why: Who said no, and what it means.
        next: What to do now, as a command where there is one.
    """

    what: str
    why: str
    next: str

    def __post_init__(self) -> None:
        """Shorten what quotes something very long."""
        self.what, self.why = shortened(self.what), shortened(self.why)

    def next_for(self, rid: str | None) -> str:
        """Return the next step, with the execution in place of "RID" in its command.

        None: it concerns no execution, so there is none to retry.
        """
        if rid is None:
            return self.next.replace(", then run `deriva-watch retry RID`", "")
        return addressed(self.next, rid)

    def sentence(self, rid: str | None = None) -> Sentence:
        """Return the three parts, about the execution *rid* or about none."""
        return {"what": self.what, "why": self.why, "next": self.next_for(rid)}

    def __str__(self) -> str:
        """Return the three parts as one line for a log."""
        return f"{self.what}: {self.why}. {self.next}"


@dataclass(eq=False)
class TransientError(TroubleError):
    """The same call may succeed later.

    Attributes:
        retry_after_s: What the server asked for, in seconds, or None.
    """

    next: str = "Nothing to do: it is retried automatically."
    retry_after_s: float | None = None


@dataclass(eq=False)
class ShortageError(TransientError):
    """This machine lacks descriptors, memory or space; it is no fault of the file or execution."""


@dataclass(eq=False)
class ServerBusyError(TransientError):
    """The server says that it cannot do it now (5xx, 429), or does not answer as Deriva does.

    The cause may be this one request or the whole host: a probe shows which.
    """


@dataclass(eq=False)
class ServerAwayError(TransientError):
    """The server can be used for nothing now, by nobody.

    No answer came (connection refused, reset or timed out, or the name does not resolve), it asks
    for a long pause, or it failed several times in a row.
    """


@dataclass(eq=False)
class CredentialError(TroubleError):
    """The server does not know us (401), or the credential cannot be read."""


@dataclass(eq=False)
class RefusedError(TroubleError):
    """The server, the specification or the file itself says no.

    Attributes:
        status: The HTTP status, where a server said it.
    """

    status: int | None = None


class UnusableSpecError(RefusedError):
    """The bulk spec cannot be used: nothing is uploaded until it is corrected."""


@dataclass(eq=False)
class SettingsError(TroubleError):
    """The configuration cannot be used; `what` begins with `file:line:` where there is one."""


@dataclass(eq=False)
class JournalHeldError(TroubleError):
    """Another process has this journal open."""


@dataclass(eq=False)
class JournalDamagedError(TroubleError):
    """The journal is a damaged database; the next process that opens it sets it aside."""


@dataclass(eq=False)
class LostThreadError(TroubleError):
    """A thread of the daemon ended by itself; the process ends, to be restarted."""


class InterruptedWorkError(WatchError):
    """The daemon stops, or a person holds the work back; the journal knows how far it came."""


class DerivaMLException(WatchError):  # noqa: N818  # the name that callers of deriva-ml catch
    """The caller of the library asked for something that cannot be done."""


class FileChangedError(WatchError):
    """Size, modification time or inode changed between two looks; nothing may be recorded."""


class AnswerPendingError(WatchError):
    """The server was asked and has not answered yet; the next look may find its answer."""


class IllegalTransitionError(WatchError):
    """A trigger was applied in a state that has no transition for it."""
