"""What can go wrong, by who must act.

WatchError
├── TroubleError           has three parts for a person: what, why, what next
│   ├── TransientError     nobody need act; it is tried again
│   │   ├── ShortageError     this machine lacks descriptors, memory or room
│   │   ├── ServerBusyError   the server answers that it cannot do it now
│   │   └── ServerAwayError   the server can do nothing now: pause the whole host
│   ├── CredentialError    somebody must log in; everything kept, work pauses
│   ├── RefusedError       trying again cannot help; a person must act
│   ├── SettingsError      the configuration is wrong
│   ├── JournalHeldError   another instance holds the journal
│   ├── JournalDamagedError   it must be set aside: the process ends, and begins anew
│   └── LostThreadError       our bug: a thread ended by itself: the same
├── DerivaMLException      the library was asked for what cannot be
├── FileChangedError       the file moved under us: look at it again
└── IllegalTransitionError our bug
"""

from dataclasses import dataclass
from shlex import quote


class WatchError(Exception):
    """Everything this package raises on purpose."""


def addressed(then: str, rid: str) -> str:
    """Return what to do next, with the execution in place of "RID" in its command."""
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

    def next_for(self, rid: str | None) -> str:
        """Return what to do now, with the execution in place of "RID" in its command.

        None: it is about no execution, so that there is none to try again.
        """
        if rid is None:
            return self.next.replace(", then run `deriva-watch retry RID`", "")
        return addressed(self.next, rid)

    def __str__(self) -> str:
        """Return the three parts as one line for a log."""
        return f"{self.what}: {self.why}. {self.next}"


@dataclass(eq=False)
class TransientError(TroubleError):
    """The same call may succeed later.

    Attributes:
        retry_after_s: What the server asked for, in seconds, or None.
    """

    next: str = "Nothing to do: it is tried again by itself."
    retry_after_s: float | None = None


@dataclass(eq=False)
class ShortageError(TransientError):
    """This machine lacks something that no file can help: descriptors, memory, room."""


@dataclass(eq=False)
class ServerBusyError(TransientError):
    """The server says that it cannot do it now (5xx, 429), or answers as no Deriva server does.

    That may be the fault of this one request, or of the whole host: others must tell.
    """


@dataclass(eq=False)
class ServerAwayError(TransientError):
    """Nothing can be had of the host now, whoever asks.

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


@dataclass(eq=False)
class SettingsError(TroubleError):
    """The configuration cannot be used; `what` begins with `file:line:` where there is one."""


@dataclass(eq=False)
class JournalHeldError(TroubleError):
    """Another process works on this journal."""


@dataclass(eq=False)
class JournalDamagedError(TroubleError):
    """The journal is no sound database any more; whoever opens it next sets it aside."""


@dataclass(eq=False)
class LostThreadError(TroubleError):
    """A thread of the daemon ended by itself; the process ends, to be started anew."""


class DerivaMLException(WatchError):  # noqa: N818  # the name that callers of deriva-ml catch
    """The caller of the library asked for something that cannot be done."""


class FileChangedError(WatchError):
    """Size, modification time or inode moved between two looks; nothing may be recorded."""


class IllegalTransitionError(WatchError):
    """A trigger was applied in a state that has no such road."""
