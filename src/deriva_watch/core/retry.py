"""How long to wait before the next try. The edge says what an error is, this says when."""

from dataclasses import dataclass

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
