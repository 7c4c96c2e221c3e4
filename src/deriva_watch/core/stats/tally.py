"""The state of all executions, in one line."""

from collections.abc import Mapping
from typing import Final

from deriva_watch.core.states import ExecutionState

_WORDS: Final = (
    ("in flight", (ExecutionState.READY, ExecutionState.UPLOADING)),
    ("refused", (ExecutionState.REFUSED,)),
    ("waiting", (ExecutionState.WAITING,)),
    ("filling", (ExecutionState.FILLING,)),
    ("uploaded", (ExecutionState.UPLOADED,)),
)


def in_short(counts: Mapping[ExecutionState, int]) -> str:
    """Return the number of executions by state: "1 in flight, 2 refused, 37 uploaded"."""
    found = ((word, sum(counts.get(state, 0) for state in states)) for word, states in _WORDS)
    said = ", ".join(f"{count:,} {word}" for word, count in found if count)
    return f"executions: {said}" if said else "no executions yet"
