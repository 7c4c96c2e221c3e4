"""Several uploaders at once, one call to the server at a time, in an order that a test says."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from engine.rig import Power

WAIT_S = 60.0


class Turns:
    """Lets the next call pass once everybody who is still at work waits with one.

    Args:
        order: Whose call comes next, each time; whoever has ended is passed over. Afterwards the
            first of them goes on to its end, then the second, and so on.
        count: How many there are: 0, 1, …
    """

    def __init__(self, order: Iterable[int], count: int = 2) -> None:
        self._order, self._count = iter(order), count
        self._working, self._waiting = set(range(count)), set()
        self._turn: int | None = None
        self._changed = threading.Condition()
        self.taken: list[tuple[int, str]] = []

    def take(self, who: int, name: str, call: Callable[[], Any]) -> Any:
        """Make a call when it is its turn."""
        with self._changed:
            self._waiting.add(who)
            self._choose()
            assert self._changed.wait_for(lambda: self._turn == who, WAIT_S), f"{who} waits"
            self._waiting.discard(who)
            self.taken.append((who, name))
        try:
            return call()
        finally:
            with self._changed:
                self._turn = None

    def end(self, who: int) -> None:
        """Wait for *who* no longer."""
        with self._changed:
            self._working.discard(who)
            self._choose()

    def run(self, *works: Callable[[], Any]) -> list[Any]:
        """Do all *works* at once, each with the turns of its number; return what they return."""

        def one(who: int) -> Any:
            try:
                return works[who]()
            finally:
                self.end(who)

        with ThreadPoolExecutor(self._count) as threads:
            return list(threads.map(one, range(self._count)))

    def power(self, who: int) -> Power:
        """Return a supply whose calls to the server wait for their turns."""
        return _Turning(self, who)

    def _choose(self) -> None:
        if self._turn is None and self._working and self._waiting >= self._working:
            wanted = next(self._order, None)
            self._turn = wanted if wanted in self._working else min(self._working)
            self._changed.notify_all()


class _Turning(Power):
    def __init__(self, turns: Turns, who: int) -> None:
        super().__init__()
        self._turns, self._who = turns, who

    def through(self, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        passed = super().through
        if name.startswith("journal"):  # nobody else sees it
            return passed(name, function, *args, **options)
        return self._turns.take(self._who, name, lambda: passed(name, function, *args, **options))
