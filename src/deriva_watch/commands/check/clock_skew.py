"""Measures how far two clocks are apart, from one request and its answer."""

from datetime import datetime, timedelta


def apart_s(theirs: datetime, sent_at: datetime, received_at: datetime) -> float:
    """Return the least number of seconds that another clock is ahead of ours; negative: behind.

    Args:
        theirs: The time it said between the two moments, truncated to a second.
        sent_at: When it was asked, by our clock.
        received_at: When its answer came.
    """
    earliest = (theirs - received_at).total_seconds()
    latest = (theirs + timedelta(seconds=1) - sent_at).total_seconds()
    if earliest <= 0 <= latest:
        return 0.0
    return earliest if earliest > 0 else latest
