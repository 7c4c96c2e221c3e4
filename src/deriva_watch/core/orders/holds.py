"""Holds: a person has paused or cancelled an execution, or cancelled a file.

A *hold* is stored beside the state of an execution and outlives it. Whenever the state of a held
execution changes, the hold's own trigger follows if `states` allows it: a paused execution still
fills and settles, and then waits; a cancelled one is refused. A worker that has the execution stops
first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from shlex import quote
from typing import Any, Final, Self

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.prose import Sentence
from deriva_watch.core.states import EXECUTION_TRANSITIONS, ExecutionState, ExecutionTrigger


class HoldKind(StrEnum):
    """The two kinds of hold."""

    CANCELLED = "cancelled"  # until `retry`
    PAUSED = "paused"  # until `resume`, or a time


_TRIGGERS: Final = {
    HoldKind.CANCELLED: ExecutionTrigger.CANCELLED,
    HoldKind.PAUSED: ExecutionTrigger.PAUSED,
}


@dataclass(frozen=True, slots=True)
class Hold:
    """The hold of one person.

    Attributes:
        kind: Paused or cancelled.
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
        """Return it as JSON for a record."""
        return {
            "kind": self.kind.value,
            "by": self.by,
            "since": self.since.isoformat(),
            "reason": self.reason,
            "until": self.until.isoformat() if self.until else None,
        }

    def trigger(self, state: ExecutionState) -> ExecutionTrigger | None:
        """Return the trigger to apply to an execution that has entered *state*, or None."""
        trigger = _TRIGGERS[self.kind]
        return trigger if trigger in EXECUTION_TRANSITIONS[state] else None

    @property
    def why(self) -> str:
        """The reason, and the end if it has one."""
        why = self.reason or "no reason was given"
        return f"{why} (until {self.until:%Y-%m-%d %H:%M} UTC)" if self.until else why

    def sentence(self, *names: str) -> Sentence:
        """Return the sentence for what is held.

        *names* are the arguments of the command that ends it: none, a RID, or a RID and a path.
        """
        verb, then = ("retry", "undoes this")
        if self.kind is HoldKind.PAUSED:
            verb, then = ("resume", "ends the pause")
        command = " ".join(["deriva-watch", verb, *map(quote, names)])
        return Sentence(
            what=f"{self.kind.value} by {self.by}", why=self.why, next=f"`{command}` {then}."
        )

    def refusal(self, rid: str, path: str) -> RefusedError:
        """Return the refusal of a cancelled file."""
        return RefusedError(**self.sentence(rid, path))


def is_cancelled(held: Mapping[str, Any] | None) -> bool:
    """Return True if a record's hold is a cancellation."""
    return held is not None and held["kind"] == HoldKind.CANCELLED
