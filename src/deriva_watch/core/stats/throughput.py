"""The rate of uploads, from what the journal knows of the last minute."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from deriva_watch.core.chunks import chunk_span

WINDOW_S: Final = 60.0
_SHORTEST_S: Final = 1.0  # less is too short for a rate


class Sent(NamedTuple):
    """Bytes that were sent until a time.

    Attributes:
        size_bytes: How many.
        until: When the last of them was acknowledged, UTC.
        seconds: How long it took to send them.
    """

    size_bytes: int
    until: datetime
    seconds: float


def rate_bytes_per_s(sent: Iterable[Sent], since: datetime, now: datetime) -> float | None:
    """Return the rate of the last WINDOW_S, or since *since* if that is later; None if it is zero.

    Of what took longer, only the share sent within that time counts.
    """
    span_s = min(WINDOW_S, (now - since).total_seconds())
    if span_s < _SHORTEST_S:
        return None
    begin = now - timedelta(seconds=span_s)
    return sum(each.size_bytes * _share(each, begin) for each in sent) / span_s or None


def _share(sent: Sent, begin: datetime) -> float:
    """Return the share of the sending time that is after *begin*."""
    after_s = (sent.until - begin).total_seconds()
    if after_s <= 0:
        return 0.0
    return 1.0 if sent.seconds <= after_s else after_s / sent.seconds


def job_bytes(job: Mapping[str, Any]) -> int:
    """Return how many bytes of an upload job, as in the journal, are acknowledged."""
    length, size_bytes = job["chunk_bytes"], job["size_bytes"]
    return sum(chunk_span(number, length, size_bytes)[1] for number in job["chunks"])


def job_sent(job: Mapping[str, Any], now: datetime) -> Sent | None:
    """Return the bytes an upload job has sent since it was started or resumed; None if unknown."""
    begun = job.get("resumed")
    if not begun or not job["chunks"]:
        return None
    seconds = (now - datetime.fromisoformat(begun["at"])).total_seconds()
    return Sent(job_bytes(job) - begun["bytes"], now, max(seconds, 0.0))
