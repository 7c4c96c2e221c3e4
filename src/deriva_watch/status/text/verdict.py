"""A verdict and its evidence as text; what is empty or only for comparison is left out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from deriva_watch.status.amounts import clock, size

_FIRST: Final = ("why", "missing")
_OURS: Final = {"digest", "boot"}  # only compared with those of the next check
_LABELS: Final = {  # story.js has the same for the page
    "looked_at": "checked at",
    "quiet_s": "unchanged for",
    "quiet_needed_s": "required",
    "size_bytes": "bytes",
    "largest_bytes": "largest file",
    "holders": "open files checked with",
    "open": "open for writing",
    "partial": "partial, by name",
    "partial_unchanged_since": "partial files unchanged since",
    "missing_files": "listed in the manifest or workspace, but missing",
    "row_changed": "Execution row changed",
    "status_set_by_us": "Status set by deriva-watch",
    "requested": "asked for by a person",
    "same_since": "status and files unchanged since",
    "unchanged_since_before_boot": "seen unchanged before the restart, at",
}


def readable(verdict: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a verdict as text by label, the reason first."""
    names = [name for name in _FIRST if name in verdict]
    names += [name for name in verdict if name not in _FIRST and name not in _OURS]
    texts = {name: _text(name, verdict[name]) for name in names}
    return {
        _LABELS.get(name, name.removesuffix("_s").replace("_", " ")): text
        for name, text in texts.items()
        if text
    }


def _text(name: str, value: Any) -> str:
    if name in {"size_bytes", "largest_bytes"}:
        value = size(value)
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
    """Return a time in UTC, to the second; any other text as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{clock(text)} UTC" if at.tzinfo else text
