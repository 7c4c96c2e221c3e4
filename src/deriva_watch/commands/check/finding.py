"""The result of one check, as a line for people and facts for programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from deriva_watch.core.errors import TransientError, TroubleError

_PASSING: Final = "Check the network and [server] host; the daemon retries automatically."


class Verdict(StrEnum):
    """The result of one check."""

    GOOD = "good"
    NOTE = "note"  # it works, with a limitation
    WRONG = "wrong"  # somebody must act
    AWAY = "away"  # the server does not answer, which may pass by itself
    UNSEEN = "unseen"  # not checked, because something before it is wrong


@dataclass(frozen=True, slots=True)
class Line:
    """The result of one check.

    Attributes:
        about: What was checked.
        what: What was found.
        why, next: What is wrong with it, and what to do; empty where nothing is wrong.
        details: More about it, for those who ask.
        facts: The same for programs.
        verdict: The result in one word.
    """

    about: str
    what: str
    why: str = ""
    next: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    verdict: Verdict = Verdict.GOOD
    details: tuple[str, ...] = ()

    @classmethod
    def wrong(
        cls, about: str, what: str, why: str, then: str, facts: Mapping[str, object] = {}
    ) -> Self:
        """Return a line about something that is wrong."""
        return cls(about, what, why, then, facts, Verdict.WRONG)

    @classmethod
    def note(
        cls, about: str, what: str, why: str, then: str, facts: Mapping[str, object] = {}
    ) -> Self:
        """Return a line about something that works with a limitation."""
        return cls(about, what, why, then, facts, Verdict.NOTE)

    @classmethod
    def of(cls, about: str, error: TroubleError) -> Self:
        """Return the line for *error*."""
        if isinstance(error, TransientError) and error.next == TransientError.next:
            return cls(about, error.what, error.why, _PASSING, verdict=Verdict.AWAY)
        return cls.wrong(about, error.what, error.why, error.next_for(None))
