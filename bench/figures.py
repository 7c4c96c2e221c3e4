"""What is measured, and what we want of it. Ratios are taken within one round, never across."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """What one competitor did in one round.

    Attributes:
        amount: How much it did: files, MB or rows.
        seconds: How long that took.
        cpu_s: The seconds of CPU that its processes used for it; not those of the server.
        peak_mib: Its largest resident memory.
        more: What else was measured, by name.
    """

    amount: float
    seconds: float
    cpu_s: float
    peak_mib: float
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """How much was done in a second."""
        return self.amount / self.seconds


Round = Mapping[str, Figure]  # by competitor


@dataclass(frozen=True)
class Goal:
    """What a row should show.

    Attributes:
        what: The value, in words.
        of: Returns it for one round.
        at_least, at_most: The goal; one of the two.
    """

    what: str
    of: Callable[[Round], float]
    at_least: float | None = None
    at_most: float | None = None

    def value(self, rounds: list[Round]) -> float:
        """Return the median over the rounds."""
        return statistics.median(self.of(each) for each in rounds)

    def is_met(self, value: float) -> bool:
        """Tell whether *value* is good enough."""
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


def faster(than: str, at_least: float, who: str = "ours") -> Goal:
    """Return the goal that one rate is so many times another, *than* that of."""
    return Goal(f"{who} / {than}", lambda r: r[who].rate / r[than].rate, at_least=at_least)


def at_most(name: str, limit: float, who: str = "ours") -> Goal:
    """Return the goal for something else that was measured."""
    return Goal(f"{who}: {name}", lambda r: r[who].more[name], at_most=limit)


def median(figures: list[Figure]) -> Figure:
    """Return the round that took the median time; with an even number the longer of the two."""
    return sorted(figures, key=lambda each: each.seconds / each.amount)[len(figures) // 2]
