"""Text for people: names of files, which may hold any byte, numbers, and what went wrong."""

from collections.abc import Iterable
from difflib import get_close_matches
from shlex import quote
from typing import Final, TypedDict

_LIKE: Final = 200  # characters of what is compared
LONGEST: Final = 10_000  # characters of a sentence: names in it may have millions


class Sentence(TypedDict):
    """What is wrong, why, and what to do next, as in events, journal and JSON."""

    what: str
    why: str
    next: str


def printable(text: str) -> str:
    """Return *text* escaped, so that no name in it can break the line or control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str) -> str:
    """Return *text* as far as anybody would read it."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def nearest(asked: str, known: Iterable[str]) -> str:
    """Return the known names that are similar to *asked*: "a or b"; "" if there are none."""
    names = {name.casefold(): name for name in known}
    near = [names[name] for name in get_close_matches(asked.casefold(), names)]
    return " or ".join(quote(printable(each)) for each in near)


def closest(asked: str, known: Iterable[str]) -> str:
    """Return " (closest: 'a', 'b')" with the known values that are similar to *asked*, or ""."""
    values = {each.casefold(): each for each in known if len(each) <= _LIKE}
    near = get_close_matches(asked.casefold(), values)
    return f" (closest: {', '.join(repr(values[each]) for each in near)})" if near else ""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 file", "1,204 files"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
