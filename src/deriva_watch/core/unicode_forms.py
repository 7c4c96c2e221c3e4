"""Texts that differ only in their Unicode form: "é" is one character, or "e" and an accent.

macOS decomposes the names of files (NFD), most programs and catalogs have composed texts (NFC).
PostgreSQL and Linux take the two for different. We compare exactly first, then as composed.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final
from unicodedata import normalize

ANOTHER_FORM: Final = "in another Unicode form (composed or decomposed)"


def composed(text: str) -> str:
    """Return *text* as NFC."""
    return text if text.isascii() else normalize("NFC", text)


def forms(text: str) -> list[str]:
    """Return *text* and its other forms, each once."""
    return (
        [text]
        if text.isascii()
        else list(dict.fromkeys((text, composed(text), normalize("NFD", text))))
    )


def with_forms(texts: Iterable[str]) -> list[str]:
    """Return *texts* with the other forms of each, to ask a catalog for them."""
    return sorted({each for text in texts for each in forms(text)})


def respelled(asked: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return how *known* spells those of *asked* that it has in another form, and in only one."""
    names = set(known)
    lacking = [each for each in asked if not each.isascii() and each not in names]
    spelled: dict[str, set[str]] = defaultdict(set)
    for name in names if lacking else ():
        if not name.isascii():
            spelled[composed(name)].add(name)
    found = {each: spelled.get(composed(each), set()) for each in lacking}
    return {each: min(spellings) for each, spellings in found.items() if len(spellings) == 1}
