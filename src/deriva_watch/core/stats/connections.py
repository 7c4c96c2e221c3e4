"""How many connections to use: more while that makes the transfer faster, fewer when it does not.

Nobody can know the best number beforehand: over a long line 16 connections carry several times as
much as 4, and a small server in the same building carries less over 16 than over 4 (measured).
"""

from dataclasses import dataclass, replace
from typing import Final

FIRST: Final = 4
_WORTH: Final = 0.1  # of the added connections, this share has to show in the rate
_AS_GOOD: Final = 0.95  # of the rate before: fewer connections are kept then
_REST: Final = 10  # windows until another number is tried again
_LATEST: Final = 0.3  # the share of the latest window in a rate: single ones vary by chance


@dataclass(frozen=True, slots=True)
class Tuning:
    """The number of connections in use, and what it rests on.

    Attributes:
        connections: How many to use now; differs from *known* while a number is tried.
        most: How many there may be.
        known: The number that was last found good, and its rate; None: nothing was measured.
        is_doubling: Whether every increase so far has paid: then the number is doubled.
        tries_more: Whether more are tried next, or fewer.
        rest: Windows until then.
    """

    connections: int
    most: int
    known: tuple[int, float] | None = None
    is_doubling: bool = True
    tries_more: bool = True
    rest: int = 0

    @classmethod
    def up_to(cls, most: int) -> "Tuning":
        """Return the first tuning."""
        return cls(min(FIRST, most), most)

    def after(self, rate: float) -> "Tuning":
        """Return the tuning for the next window; *rate* is that of this one, in any unit.

        Only windows count in which all connections had work.
        """
        number, before = self.known or (self.connections, rate)
        if added := self.connections - number:
            return self._tried(added, rate, number, before)
        known = replace(self, known=(number, before + _LATEST * (rate - before)))
        return replace(known, rest=self.rest - 1) if self.rest else _trying(known)

    def _tried(self, added: int, rate: float, number: int, before: float) -> "Tuning":
        needed = 1 + _WORTH * added / number if added > 0 else _AS_GOOD
        if rate < before * needed:
            turned = replace(self, connections=number, tries_more=not self.tries_more)
            return replace(turned, is_doubling=False, rest=_REST)
        good = replace(self, known=(self.connections, rate))
        return _trying(good) if self.is_doubling else replace(good, rest=_REST)

    def busy(self) -> "Tuning":
        """Return the tuning after the server reported that it is overloaded."""
        fewer = max(1, self.connections // 2)
        return Tuning(fewer, self.most, is_doubling=False, rest=_REST)


def _trying(tuning: Tuning) -> Tuning:
    """Return the tuning that tries another number than *tuning*."""
    step = tuning.connections if tuning.is_doubling else 1
    wanted = tuning.connections + (step if tuning.tries_more else -step)
    allowed = max(1, min(wanted, tuning.most))
    if allowed == tuning.connections:
        turned = replace(tuning, tries_more=not tuning.tries_more)
        return replace(turned, is_doubling=False, rest=_REST)
    return replace(tuning, connections=allowed)
