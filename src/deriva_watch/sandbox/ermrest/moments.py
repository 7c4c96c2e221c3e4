"""Dates and times as PostgreSQL reads them, and as ERMrest shows them.

Measured: a date with dots is month, day, year; ``24:00:00`` is the next day, ``:60`` the
next minute; nanoseconds are rounded; ``infinity`` and ``BC`` are values.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_TEXT: Final = re.compile(
    r"(?:(?P<year>\d{4,})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"|(?P<m>\d{1,2})\.(?P<d>\d{1,2})\.(?P<y>\d{4}))"
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d*))?)?)?"
    r" ?(?P<zone>Z|UTC|[-+]\d\d(?::?\d\d)?)?(?P<bc> BC)?",
    re.IGNORECASE,
)
_ENDLESS: Final = {"infinity": "infinity", "+infinity": "infinity", "-infinity": "-infinity"}


def day(text: str) -> str:
    """Return a date, without a time; ValueError if it is not a date."""
    return _cast(text, lambda moment: moment.date().isoformat())


def local(text: str) -> str:
    """Return a timestamp; an offset is ignored. ValueError if it is not a timestamp."""
    return _cast(text, lambda moment: _trimmed(moment.replace(tzinfo=None)))


def instant(text: str) -> str:
    """Return a timestamptz in UTC, the default offset; ValueError if it is not one."""
    return _cast(text, lambda moment: shown(moment if moment.tzinfo else _utc(moment)))


def shown(moment: datetime) -> str:
    """Return *moment* as ERMrest shows a timestamptz: in UTC, without trailing zeros."""
    return _trimmed(moment.astimezone(UTC).replace(tzinfo=None)) + "+00:00"


def _cast(text: str, show: Callable[[datetime], str]) -> str:
    if endless := _ENDLESS.get(text.strip().lower()):
        return endless
    moment, suffix = _read(text)
    return show(moment) + suffix


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def _read(text: str) -> tuple[datetime, str]:
    """Return a time, with its offset if it has one, and " BC" or ""."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    part = found.groupdict()
    date = [int(part[a] or part[b]) for a, b in (("year", "y"), ("month", "m"), ("day", "d"))]
    hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):  # noqa: PLR2004  # the limits of a clock
        raise ValueError(text)
    micros = round(int((part["fraction"] or "0").ljust(9, "0")[:9]) / 1000)
    moment = datetime(*date, tzinfo=_zone(part["zone"])) + timedelta(  # type: ignore[arg-type,misc]  # three numbers
        hours=hour, minutes=minute, seconds=second, microseconds=micros
    )
    return moment, " BC" if part["bc"] else ""


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text.upper() in {"Z", "UTC"}:
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _trimmed(moment: datetime) -> str:
    text = moment.isoformat()
    return text.rstrip("0") if "." in text else text
