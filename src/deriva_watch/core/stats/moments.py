"""A time as people write it on the command line."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from deriva_watch.core.errors import SettingsError

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(r"(\d{1,6})\s*([mhdw])")


def moment(text: str, now: datetime) -> datetime:
    """Parse a time: "24h" before *now*, or a date or time, in UTC.

    Raises SettingsError if *text* is neither.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsError(
            f"cannot tell which time {text!r} is",
            "it is neither a time ago nor a date",
            'Write "90m", "24h", "7d" or "2w", or "2026-11-01" or "2026-11-01T08:00" (UTC).',
        ) from None
