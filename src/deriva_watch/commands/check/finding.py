"""What one check found, as a line for people and facts for programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from deriva_watch.core.errors import TransientError, TroubleError

_PASSING: Final = "See to the network and [server] host; a daemon tries it again by itself."


class Verdict(StrEnum):
    """How it stands with what was looked at."""

    GOOD = "good"
    NOTE = "note"  # it works, and somebody should know
    WRONG = "wrong"  # somebody must act
    AWAY = "away"  # it is in the way, and may pass by itself: the server does not answer
    UNSEEN = "unseen"  # not looked at, because of something that is wrong before it


@dataclass(frozen=True, slots=True)
class Line:
    """What one check found.

    Attributes:
        about: What was looked at.
        what: What it is like; where something is in the way: what that is.
        why, next: Empty where there is nothing to say against it.
        facts: The same for programs.
        verdict: How it stands.
    """

    about: str
    what: str
    why: str = ""
    next: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    verdict: Verdict = Verdict.GOOD

    @classmethod
    def wrong(
        cls, about: str, what: str, why: str, then: str, facts: Mapping[str, object] = {}
    ) -> Self:
        """Return a line about what is in the way."""
        return cls(about, what, why, then, facts, Verdict.WRONG)

    @classmethod
    def note(
        cls, about: str, what: str, why: str, then: str, facts: Mapping[str, object] = {}
    ) -> Self:
        """Return a line about what works, and that somebody should know of."""
        return cls(about, what, why, then, facts, Verdict.NOTE)

    @classmethod
    def of(cls, about: str, error: TroubleError) -> Self:
        """Return the line that *error* is."""
        if isinstance(error, TransientError) and error.next == TransientError.next:
            return cls(about, error.what, error.why, _PASSING, verdict=Verdict.AWAY)
        return cls.wrong(about, error.what, error.why, error.next_for(None))
