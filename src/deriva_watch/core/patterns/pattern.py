"""A regular expression that somebody else wrote, with a time limit for each name."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final, TypeVar

import regex

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.patterns.syntax import parse, written

_T = TypeVar("_T")
WAYS: Final = (
    "its repetitions can divide the same characters in very many ways, as those of (a+)+ or "
    "(a|aa)+ do"
)
LIMIT_S: Final = 1.0
"""How long one name may take, in seconds of this process's computing time."""
_LEAST_S: Final = 0.02  # an ordinary name takes 20 µs
_REMEMBERED: Final = 1024


class TooSlowError(RefusedError):
    """A name takes a pattern longer than the limit: it may match in a great many ways."""

    @classmethod
    def of(cls, text: str, name: str) -> "TooSlowError":
        """Return the error for the pattern *text* and the name that it was matched against."""
        return cls(
            f"cannot tell whether {name} matches a pattern",
            f"the pattern {text} takes too long for it: {WAYS}",
            "Make the pattern simpler, or rename the file.",
        )


@dataclass(slots=True)
class _Record:
    """What is known of the names that took a pattern too long."""

    count: int = 0
    names: dict[str, None] = field(default_factory=dict)  # the latest of them

    @property
    def limit_s(self) -> float:
        """Half as long after each such name: many of them must not stop everybody's work."""
        return max(LIMIT_S * 0.5**self.count, _LEAST_S)

    def add(self, name: str) -> None:
        self.count += 1
        self.names[name] = None
        if len(self.names) > _REMEMBERED:
            del self.names[next(iter(self.names))]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression with the meaning that `re` gives it.

    Other threads run while a name is matched.

    Attributes:
        text: As it is written.
        ignore_case: Whether case does not count.

    Raises (when it is made):
        re.error: It is not a regular expression.
        OverflowError, RecursionError: It is too large.
    """

    text: str
    ignore_case: bool = False
    _compiled: "_Compiled" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compiled", _compiled(self.text, self.ignore_case))

    @property
    def groups(self) -> tuple[str, ...]:
        """The named groups, in their order."""
        return tuple(self._compiled.pattern.groupindex)

    def search(self, name: str, limit_s: float = LIMIT_S) -> "regex.Match[str] | None":
        """Return where *name* matches first, or None; TooSlowError after the limit."""
        return self._timed(self._compiled.pattern.search, name, limit_s)

    def match(self, name: str) -> "regex.Match[str] | None":
        """Return how the beginning of *name* matches, or None; TooSlowError after the limit."""
        return self._timed(self._compiled.pattern.match, name)

    def replaced(self, name: str, by: str) -> str:
        """Return *name* with *by* wherever it matches; TooSlowError after the limit."""
        return self._timed(partial(self._compiled.pattern.sub, by), name)

    def _timed(self, call: Callable[..., _T], name: str, limit_s: float = LIMIT_S) -> _T:
        slow = self._compiled.slow
        if name in slow.names:
            raise TooSlowError.of(self.text, name)
        try:
            # Without "concurrent" it would hold the GIL, and so stop every other thread.
            return call(name, timeout=min(limit_s, slow.limit_s), concurrent=True)
        except TimeoutError:
            slow.add(name)
            raise TooSlowError.of(self.text, name) from None


@dataclass(frozen=True, slots=True)
class _Compiled:
    pattern: "regex.Pattern[str]"
    slow: _Record = field(default_factory=_Record)


@lru_cache(maxsize=4096)
def _compiled(text: str, ignore_case: bool) -> _Compiled:
    parsed = parse(text, re.IGNORECASE if ignore_case else 0)
    flags = regex.VERSION0 | (regex.IGNORECASE if parsed.state.flags & re.IGNORECASE else 0)
    return _Compiled(regex.compile(written(parsed), flags, cache_pattern=False))
