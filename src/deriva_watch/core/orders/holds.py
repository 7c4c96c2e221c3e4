"""What holds an execution or a file back because a person says so.

A *hold* stands beside the state of an execution and outlives it. Whenever the state of a held
execution changes, the hold's own trigger follows, where `states` has a road for it: what is paused
goes on filling and settling, and then waits; what is cancelled is refused. A worker that has the
execution puts it down first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from shlex import quote
from typing import Any, Final, Self, TypedDict

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.states import EXECUTION_TRANSITIONS, ExecutionState, ExecutionTrigger


class HoldKind(StrEnum):
    """How a person holds something back."""

    CANCELLED = "cancelled"  # until `retry`
    PAUSED = "paused"  # until `resume`, or a time


_TRIGGERS: Final = {
    HoldKind.CANCELLED: ExecutionTrigger.CANCELLED,
    HoldKind.PAUSED: ExecutionTrigger.PAUSED,
}


class Sentence(TypedDict):
    """What, why and what next."""

    what: str
    why: str
    next: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds back what, and why.

    Attributes:
        kind: How.
        by: The user.
        since: When the order was given, UTC.
        reason: In the user's words.
        until: When it ends by itself, UTC.
    """

    kind: HoldKind
    by: str
    since: datetime
    reason: str | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, held: Mapping[str, Any] | None) -> Self | None:
        """Return the hold that a record has, or None."""
        if held is None:
            return None
        times = {
            name: datetime.fromisoformat(held[name]) for name in ("since", "until") if held[name]
        }
        return cls(HoldKind(held["kind"]), held["by"], reason=held["reason"], **times)

    def document(self) -> dict[str, Any]:
        """Return it as a record keeps it."""
        return {
            "kind": self.kind.value,
            "by": self.by,
            "since": self.since.isoformat(),
            "reason": self.reason,
            "until": self.until.isoformat() if self.until else None,
        }

    def trigger(self, state: ExecutionState) -> ExecutionTrigger | None:
        """Return what follows for an execution that has come to *state*."""
        trigger = _TRIGGERS[self.kind]
        return trigger if trigger in EXECUTION_TRANSITIONS[state] else None

    @property
    def why(self) -> str:
        """Why, and until when."""
        why = self.reason or "no reason was given"
        return f"{why} (until {self.until:%Y-%m-%d %H:%M} UTC)" if self.until else why

    def sentence(self, *names: str) -> Sentence:
        """Return what to say of what it holds.

        *names* are what the command that ends it takes: nothing, a RID, or a RID and a path.
        """
        verb, then = ("retry", "takes it up again")
        if self.kind is HoldKind.PAUSED:
            verb, then = ("resume", "lets it go on")
        command = " ".join(["deriva-watch", verb, *map(quote, names)])
        return Sentence(
            what=f"{self.kind.value} by {self.by}", why=self.why, next=f"`{command}` {then}."
        )

    def refusal(self, rid: str, path: str) -> RefusedError:
        """Return why a file that is cancelled is not brought in."""
        return RefusedError(**self.sentence(rid, path))


def is_cancelled(held: Mapping[str, Any] | None) -> bool:
    """Tell whether what a record has is that a person said no."""
    return held is not None and held["kind"] == HoldKind.CANCELLED
