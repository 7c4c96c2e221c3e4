"""A verdict with its evidence for people: what says nothing is left out, times can be read."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from deriva_watch.status.amounts import clock

_FIRST: Final = ("why", "missing")
_OURS: Final = {"digest", "boot"}  # they tell two looks apart, and nobody anything


def readable(verdict: Mapping[str, Any]) -> dict[str, str]:
    """Return what stands in a verdict as texts by name, the reason first."""
    return dict(_texts(verdict))


def _texts(verdict: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    names = [name for name in _FIRST if name in verdict]
    for name in [*names, *(n for n in verdict if n not in _FIRST and n not in _OURS)]:
        text = _text(name, verdict[name])
        if text:
            yield name.removesuffix("_s").replace("_", " "), text


def _text(name: str, value: Any) -> str:
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case list():
            return "; ".join(map(str, value))
        case dict() if name == "status":
            parts = ((source, s["is"], _time(s["since"])) for source, s in value.items())
            return "; ".join(f"{source}: {word} since {at}" for source, word, at in parts)
        case int() | float() if name.endswith("_s"):
            return f"{value:.1f} s".replace(".0 s", " s")
    return _time(str(value))


def _time(text: str) -> str:
    """Return a time in UTC without the parts of a second; any other text as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{clock(text)} UTC" if at.tzinfo else text
