"""A limit that depends on the day of the week and the time of day, by the clock on the wall.

So it needs no rule for the days on which the clocks are changed: an hour that happens twice has its
limit twice, and one that is left out has none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # Monday is weekday 0
DAY_MINUTES: Final = 24 * 60
_WEEK_MINUTES: Final = len(DAYS) * DAY_MINUTES


@dataclass(frozen=True, slots=True)
class Period:
    """A time that comes back every week.

    Attributes:
        weekdays: The days on which it begins.
        begin: Minutes after midnight.
        end: Minutes after midnight; if not after *begin*, of the next day.
        limit: Of that time; 0 means none.
    """

    weekdays: frozenset[int]
    begin: int
    end: int
    limit: int

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the minutes of the week at which it begins and ends, each time."""
        minutes = self.end - self.begin + (DAY_MINUTES if self.end <= self.begin else 0)
        for day in sorted(self.weekdays):
            begin = day * DAY_MINUTES + self.begin
            end = begin + minutes
            yield begin, min(end, _WEEK_MINUTES)
            if end > _WEEK_MINUTES:  # from Sunday into Monday
                yield 0, end - _WEEK_MINUTES


@dataclass(frozen=True, slots=True)
class Timetable:
    """Limits by time.

    Attributes:
        periods: Times with a limit of their own; no two overlap.
        otherwise: The limit at all other times; 0 means none.
    """

    periods: tuple[Period, ...] = ()
    otherwise: int = 0

    def limit(self, weekday: int, minute: int) -> int:
        """Return the limit at a minute of a day."""
        now = weekday * DAY_MINUTES + minute
        for period in self.periods:
            if any(begin <= now < end for begin, end in period.spans()):
                return period.limit
        return self.otherwise


def overlap(periods: Sequence[Period]) -> tuple[int, int, int] | None:
    """Return which two of *periods* overlap, and a minute of the week at which they do; or None."""
    spans = sorted(
        (begin, end, number)
        for number, period in enumerate(periods)
        for begin, end in period.spans()
    )
    for (_, end, one), (begin, _, other) in pairwise(spans):
        if begin < end:
            return min(one, other), max(one, other), begin
    return None
