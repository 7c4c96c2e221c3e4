"""Find the patterns that need far too long for some names, before such a name comes."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any, Final

import regex

from deriva_watch.core.patterns.pattern import WAYS, Pattern, TooSlowError
from deriva_watch.core.patterns.syntax import Node, Repeat, character, children, parse

_PROBE_CHARACTERS: Final = 255  # the longest name of a file
_PROBE_S: Final = 0.1
_WRITTEN_OUT: Final = 8  # a part that may occur more often is looked at as one without a limit
_MOST_STEPS: Final = 500_000  # a pattern that needs more is left to the time limit
_SAMPLES: Final = frozenset("aZ09_ -./\\!\0\né\u0301")


@lru_cache(maxsize=1024)
def explosive(pattern: Pattern) -> str | None:
    """Return why *pattern* could take very long for some names, or None."""
    flags = re.IGNORECASE if pattern.ignore_case else 0
    parsed = parse(pattern.text, flags)
    samples = _SAMPLES | _characters(parsed)
    if any(_Loop(samples, parsed.state.flags).is_ambiguous(each) for each in _loops(parsed)):
        return WAYS
    for each in sorted(samples):
        try:
            pattern.search(each * _PROBE_CHARACTERS + "\0", _PROBE_S)
        except TooSlowError:
            return f"a name of {_PROBE_CHARACTERS} times {each!r} takes it over {_PROBE_S} s"
    return None


def _characters(sequence: Iterable[Node]) -> frozenset[str]:
    """Return the characters that a pattern names."""
    found: set[str] = set()
    for node in sequence:
        name, value = str(node[0]), node[1]
        if name in {"LITERAL", "NOT_LITERAL"}:
            found.add(chr(value))
        elif name == "IN":
            found |= _characters(value)
        elif name == "RANGE":
            found |= set(map(chr, value))
        for each in children(node):
            found |= _characters(each)
    return frozenset(found)


def _loops(sequence: Iterable[Node]) -> Iterator[Node]:
    """Yield the outermost repetitions without a limit."""
    for node in sequence:
        if _is_loop(node):
            yield node
        else:
            for each in children(node):
                yield from _loops(each)


def _is_loop(node: Node) -> bool:
    if str(node[0]) not in {"MAX_REPEAT", "MIN_REPEAT"}:
        return False
    most = Repeat.of(node[1]).most
    return most is None or most > _WRITTEN_OUT


@dataclass(frozen=True, slots=True)
class _Part:
    """Where a part of the pattern begins and ends, and whether it may be empty."""

    empty: bool
    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()


@dataclass(slots=True)
class _Loop:
    """A repetition as a position automaton: each place that takes a character is a state.

    It is ambiguous if one text leads from a state back to it in two ways. The number of ways then
    doubles with every repetition of that text.
    """

    samples: frozenset[str]
    flags: int
    takes: list[frozenset[str]] = field(default_factory=list)
    follows: Counter[tuple[int, int]] = field(default_factory=Counter)

    def is_ambiguous(self, node: Node) -> bool:
        """Tell whether the repetition *node* is ambiguous."""
        self._node(node)
        if any(count > 1 for count in self.follows.values()):
            return True
        same = [(state, state) for state in range(len(self.takes))]
        there = self._reached(same, self._successors(forward=True))
        back = self._reached(same, self._successors(forward=False))
        return any(one != other for one, other in there & back)

    def _successors(self, *, forward: bool) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in self.takes]
        for one, other in self.follows:
            found[one if forward else other].append(other if forward else one)
        return found

    def _reached(
        self, start: list[tuple[int, int]], after: list[list[int]]
    ) -> set[tuple[int, int]]:
        """Return the pairs of states that equal texts lead to; those within the limit of steps."""
        reached, left, steps = set(start), list(start), 0
        while left and steps < _MOST_STEPS:
            one, other = left.pop()
            for pair in product(after[one], after[other]):
                steps += 1
                if pair not in reached and self.takes[pair[0]] & self.takes[pair[1]]:
                    reached.add(pair)
                    left.append(pair)
        return reached

    # ------------------------------------------------------------------ building

    def _sequence(self, sequence: Iterable[Node]) -> _Part:
        whole = _Part(empty=True)
        for node in sequence:
            whole = self._joined(whole, self._node(node))
        return whole

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._link(one, other)
        return _Part(
            one.empty and other.empty,
            one.first + (other.first if one.empty else ()),
            other.last + (one.last if other.empty else ()),
        )

    def _link(self, one: _Part, other: _Part) -> None:
        self.follows.update(product(one.last, other.first))

    def _node(self, node: Node) -> _Part:
        name, value = str(node[0]), node[1]
        if name in {"LITERAL", "NOT_LITERAL", "ANY", "IN"}:
            return self._state(node)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            return self._repeated(node, value[2])
        if name in {"BRANCH", "GROUPREF_EXISTS"}:
            return self._alternatives(children(node))
        if name == "SUBPATTERN":
            return self._sequence(value[-1])
        return _Part(empty=True)  # takes no character, or never gives one back

    def _state(self, node: Node) -> _Part:
        flags = regex.IGNORECASE if self.flags & re.IGNORECASE else 0
        takes = regex.compile(character(node, self.flags), flags)
        self.takes.append(frozenset(filter(takes.fullmatch, self.samples)))
        here = (len(self.takes) - 1,)
        return _Part(empty=False, first=here, last=here)

    def _repeated(self, node: Node, inner: Any) -> _Part:
        repeat = Repeat.of(node[1])
        if _is_loop(node):
            part = self._sequence(inner)
            self._link(part, part)
            return _Part(part.empty or not repeat.least, part.first, part.last)
        whole = _Part(empty=True)
        for number in range(repeat.most or 0):
            part = self._sequence(inner)
            part = _Part(part.empty or number >= repeat.least, part.first, part.last)
            whole = self._joined(whole, part)
        return whole

    def _alternatives(self, sequences: Iterable[Any]) -> _Part:
        parts = [self._sequence(each) for each in sequences]
        return _Part(
            any(part.empty for part in parts),
            tuple(state for part in parts for state in part.first),
            tuple(state for part in parts for state in part.last),
        )
