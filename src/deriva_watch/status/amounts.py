"""Sizes and times as text."""

from datetime import UTC, datetime
from typing import Final

from rich.filesize import decimal

_SPANS: Final = ((48 * 3600.0, "day", 86_400.0), (5400.0, "h", 3600.0), (90.0, "min", 60.0))


def size(size_bytes: float) -> str:
    """Return a number of bytes in a suitable unit: "1.2 GB"."""
    return decimal(round(size_bytes))


def span(seconds: float) -> str:
    """Return a duration in a suitable unit: "20 s", "3 h"."""
    for longer_than_s, unit, unit_s in _SPANS:
        if seconds >= longer_than_s:
            number = round(seconds / unit_s)
            return f"{number:,} days" if unit == "day" else f"{number} {unit}"
    return f"{max(seconds, 0):.0f} s"


def after(at: str | None, now: str) -> str:
    """Return how long after *now* a time is: "in 20 s", "now"; both as ISO 8601."""
    if at is None:
        return ""
    seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(now)).total_seconds()
    return f"in {span(seconds)}" if seconds >= 1 else "now"


def before(at: str, now: str) -> str:
    """Return how long before *now* a time was: "20 s ago"; both as ISO 8601."""
    seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds()
    return f"{span(seconds)} ago"


def clock(at: str) -> str:
    """Return an ISO 8601 time in UTC, to the second: "2026-03-01 12:00:00"."""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M:%S}"
