"""How long to wait before the next try. The edge says what an error is, this says when."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deriva_watch.core.records import FileRecord
from deriva_watch.core.states import FileState

_STEPS: Final = {  # what the server has of a file; a digest is our own affair
    FileState.STORED: 1,
    FileState.RECORDED: 2,
    FileState.LINKED: 3,
    FileState.ELSEWHERE: 3,
    FileState.REMOVED: 3,
}
_CAP_EXPONENT = 60  # 2**60 s outlasts every cap; larger powers only cost digits


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits double from `initial_s` up to `max_s`, in seconds; `max_attempts` of them."""

    initial_s: float = 5.0
    max_s: float = 900.0
    max_attempts: int = 10


def wait_after_s(
    attempt: int, policy: RetryPolicy, jitter: float, retry_after_s: float | None = None
) -> float | None:
    """Return the wait after the failed *attempt*, in seconds, or None: give up and say so.

    Full jitter spreads the tries of many nodes evenly: wait = U(0, 1) · min(max, initial · 2^n),
    and never less than what the server asked for, as far as the cap allows.

    Args:
        attempt: Failed attempts so far, from 1.
        policy: The limits.
        jitter: A random number in [0, 1).
        retry_after_s: The server's Retry-After, in seconds, or None.
    """
    if attempt > policy.max_attempts:
        return None
    ceiling = min(policy.max_s, policy.initial_s * 2.0 ** min(attempt - 1, _CAP_EXPONENT))
    return max(jitter * ceiling, min(retry_after_s or 0.0, policy.max_s))


Reach = tuple[int, int]  # steps done for a file, and chunks of the next one


def reach(file: FileRecord) -> Reach:
    """Return how much of a file the server has."""
    return _STEPS.get(file.state, 0), len((file.job or {}).get("chunks", ()))


def came_further(before: Mapping[int, Reach], after: Mapping[int, Reach]) -> bool:
    """Tell whether the server has more of any file, by number, than before.

    Then the failed attempts until now say nothing: work that goes on is not given up, however
    often it is interrupted.
    """
    return any(reached > before.get(number, (0, 0)) for number, reached in after.items())
