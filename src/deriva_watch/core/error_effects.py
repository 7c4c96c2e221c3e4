"""What an error means for the work that it ended: one table, for everything that catches errors.

The callers differ in what they do about an effect, because they do different work; none of them
decides by itself which errors have it.
"""

from enum import Enum
from typing import Final, NamedTuple

from deriva_watch.core.errors import (
    AnswerPendingError,
    CredentialError,
    FileChangedError,
    InterruptedWorkError,
    JournalDamagedError,
    LostThreadError,
    RefusedError,
    ServerAwayError,
    ServerBusyError,
    ShortageError,
    TransientError,
    TroubleError,
    UnusableSpecError,
)
from deriva_watch.core.os_errors import passing


class Effect(Enum):
    """What follows from an error for the work that it ended."""

    RETRY = "try again later; the attempt counts"
    RETRY_UNLESS_AWAY = "the same, unless a probe shows that the whole server is down"
    WAIT = "try again later; the attempt does not count, because the work is not at fault"
    WAIT_FOR_SPEC = "the same, until a person has corrected the bulk spec"
    STOP_ALL = "trip the circuit breaker: no work can succeed now"
    REFUSE = "a person must act"
    CHANGED = "the files changed, or an answer has not come yet: look again"
    INTERRUPTED = "stop here; the work continues later"
    FATAL = "the process must end"
    CRASH = "a bug of ours: report it"


EFFECTS: Final[dict[type[Exception], Effect]] = {
    TransientError: Effect.RETRY,
    ServerBusyError: Effect.RETRY_UNLESS_AWAY,
    ShortageError: Effect.WAIT,
    UnusableSpecError: Effect.WAIT_FOR_SPEC,
    ServerAwayError: Effect.STOP_ALL,
    CredentialError: Effect.STOP_ALL,
    RefusedError: Effect.REFUSE,
    FileChangedError: Effect.CHANGED,
    AnswerPendingError: Effect.CHANGED,
    InterruptedWorkError: Effect.INTERRUPTED,
    JournalDamagedError: Effect.FATAL,
    LostThreadError: Effect.FATAL,
    Exception: Effect.CRASH,
}


class Failure(NamedTuple):
    """A classified error.

    Attributes:
        effect: What follows from it.
        error: The error itself; for an error of the operating system that may pass, the
            TransientError that says so.
    """

    effect: Effect
    error: Exception

    @property
    def trouble(self) -> TroubleError | None:
        """The error, where it has a sentence for a person."""
        return self.error if isinstance(self.error, TroubleError) else None


def classify(error: Exception, what: str) -> Failure:
    """Return the effect of any exception.

    Args:
        error: The exception.
        what: What could not be done, for the sentence about an error of the operating system.
    """
    known = passing(what, error) or error
    return Failure(next(EFFECTS[c] for c in type(known).__mro__ if c in EFFECTS), known)
