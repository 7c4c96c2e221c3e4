"""`bandwidth_bytes_per_s`: one number, or limits by the day of the week and the time of day."""

import json
import re
from collections.abc import Mapping
from datetime import time
from typing import Any, Final

from pydantic import ByteSize, TypeAdapter, ValidationError

from deriva_watch.core.spec.spec_keys import near
from deriva_watch.core.timetable import DAY_MINUTES, DAYS, Period, Timetable, overlap

_SIZE: Final = TypeAdapter(ByteSize)
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")
_KEYS: Final = ("days", "from", "to", "bytes_per_s")
_MUST: Final = (
    'must be a size such as "10MiB", 0 for no limit, or a list such as '
    '[{ from = "08:00", to = "18:00", bytes_per_s = "10MiB" }]'
)


def timetable(said: Any) -> Any:
    """Return the timetable that a value of the settings means; raise ValueError if it is wrong."""
    if isinstance(said, str) and said.lstrip().startswith("["):  # from the environment
        try:
            said = json.loads(said)
        except ValueError:
            raise ValueError("is not valid JSON; correct its value") from None
    if isinstance(said, Timetable):
        return said
    if not isinstance(said, list | tuple):
        return Timetable(otherwise=_size(said, ""))
    entries = [_entry(f"entry {number}", each) for number, each in enumerate(said, 1)]
    periods = [each for each in entries if isinstance(each, Period)]
    others = [each for each in entries if not isinstance(each, Period)]
    if len(others) > 1:
        raise ValueError("has two entries without days, from and to; remove one")
    if found := overlap(periods):
        numbers = [number for number, each in enumerate(entries, 1) if isinstance(each, Period)]
        one, other, at = numbers[found[0]], numbers[found[1]], _named(found[2])
        which = f"entries {one} and {other}" if one != other else f"entry {one} and its next day"
        raise ValueError(f"has two limits on {at}: {which} overlap; change one")
    return Timetable(tuple(periods), *others)


def _entry(name: str, said: Any) -> Period | int:
    """Return a period, or the limit of all other times."""
    if not isinstance(said, Mapping):
        raise ValueError(_MUST)  # noqa: TRY004  # pydantic's way
    if odd := [key for key in said if key not in _KEYS]:
        raise ValueError(
            f"{name} has an unknown key {odd[0]!r}{near(odd[0], _KEYS) or '; remove it'}"
        )
    if "bytes_per_s" not in said:
        raise ValueError(f'{name} has no bytes_per_s; add one, such as bytes_per_s = "10MiB"')
    limit = _size(said["bytes_per_s"], f"{name} bytes_per_s ")
    if ("from" in said) != ("to" in said):
        raise ValueError(f"{name} has only one of from and to; add the other")
    if "from" not in said and "days" not in said:
        return limit
    begin, end = _minute(name, "from", said), _minute(name, "to", said)
    if begin == end:
        raise ValueError(f"{name} ends when it begins; leave from and to out for the whole day")
    return Period(_weekdays(name, said.get("days", DAYS)), begin, end, limit)


def _size(said: Any, name: str) -> int:
    try:
        found = None if isinstance(said, bool) else _SIZE.validate_python(said)
    except ValidationError:
        found = None
    if found is None or found < 0:
        must = 'must be a size such as "10MiB", or 0 for no limit' if name else _MUST
        raise ValueError(f"{name}{must}")
    return int(found)


def _minute(name: str, key: str, said: Mapping[str, Any]) -> int:
    """Return the minute of the day; a whole day is from 0 to 24 o'clock."""
    value = said.get(key, "00:00" if key == "from" else "24:00")
    if isinstance(value, time):  # TOML has times of its own
        value = value.isoformat().removesuffix(":00")
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        raise ValueError(f'{name} {key} must be a time such as "08:00", at most "24:00"')
    hour, _, minute = value.partition(":")
    return int(hour) * 60 + int(minute)


def _weekdays(name: str, said: Any) -> frozenset[int]:
    days = said if isinstance(said, list | tuple) else [said]
    for day in days:
        if day not in DAYS:
            raise ValueError(f"{name} days must be some of {', '.join(DAYS)}; correct it")
    if not days:
        raise ValueError(f"{name} names no days; leave days out for every day")
    return frozenset(map(DAYS.index, days))


def _named(minute: int) -> str:
    day, minute = divmod(minute, DAY_MINUTES)
    return f"{DAYS[day]} {minute // 60:02}:{minute % 60:02}"
