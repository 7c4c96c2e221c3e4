"""How long to wait before the next attempt. An edge classifies the error, this sets the time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deriva_watch.core.records import FileRecord
from deriva_watch.core.states import FileState

_STEPS: Final = {  # what the server has of a file; it does not see our digests
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
    """Return the wait after the failed *attempt*, in seconds, or None to give up.

    Full jitter spreads the attempts of many nodes evenly: wait = U(0, 1) · min(max, initial · 2^n),
    and at least what the server asked for, up to the maximum.

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


Progress = tuple[int, int]  # steps done for a file, and chunks sent for the next step


def progress(file: FileRecord) -> Progress:
    """Return how much of a file the server has."""
    return _STEPS.get(file.state, 0), len((file.job or {}).get("chunks", ()))


def has_progressed(before: Mapping[int, Progress], after: Mapping[int, Progress]) -> bool:
    """Return True if the server has more of any file, by number, than before.

    The failed attempts so far then do not count: an upload that makes progress is never given up,
    however often it is interrupted.
    """
    return any(now > before.get(number, (0, 0)) for number, now in after.items())
