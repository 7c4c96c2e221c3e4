"""How far two clocks are apart, by one question and its answer."""

from datetime import datetime, timedelta


def apart_s(theirs: datetime, sent_at: datetime, received_at: datetime) -> float:
    """Return how far another clock is ahead of ours at least, in seconds; negative: behind.

    Args:
        theirs: What it said, cut to a whole second; it said so between the two moments.
        sent_at: When it was asked, by our clock.
        received_at: When its answer came.
    """
    earliest = (theirs - received_at).total_seconds()
    latest = (theirs + timedelta(seconds=1) - sent_at).total_seconds()
    if earliest <= 0 <= latest:
        return 0.0
    return earliest if earliest > 0 else latest
