"""Lines of the history as text."""

from collections.abc import Mapping
from typing import Any, Final

from deriva_watch.core.prose import counted
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.status.amounts import clock, size, span

_E, _F = ExecutionTrigger, FileTrigger
_OF_EXECUTIONS: Final[Mapping[str, str]] = {
    _E.COMPLETED: "complete",
    _E.CLAIMED: "upload started",
    _E.FINISHED: "uploaded",
    _E.DEFERRED: "postponed",
    _E.REFUSED: "refused",
    _E.DUE: "next attempt is due",
    _E.CHANGED: "files changed; checked again",
    _E.INTERRUPTED: "upload interrupted",
    _E.RETRIED: "tried again (requested, or the cause of the refusal changed)",
    _E.CANCELLED: "cancelled",
    _E.PAUSED: "paused",
    _E.RESUMED: "resumed",
    _E.REMOVED: "the directory is gone",
    _E.APPEARED: "the directory is back",
}
_OF_FILES: Final[Mapping[str, str]] = {
    _F.HASHED: "hashed",
    _F.STORED: "stored",
    _F.RECORDED: "row written",
    _F.ADOPTED: "existing row used",
    _F.LINKED: "linked: in the catalog",
    _F.IGNORED: "ignored by the settings",
    _F.UNMATCHED: "no mapping matches",
    _F.REFUSED: "refused",
    _F.CHANGED: "changed; hashed again",
    _F.RECONSIDERED: "checked again",
    _F.VANISHED: "gone",
    _F.FOREIGN: "uploaded by another program",
    _F.APPEARED: "back again",
    _F.REMOVED: "removed locally",
}


def described(event: Mapping[str, Any]) -> str:
    """Return a line of the history as text, with its facts."""
    verbs = _OF_EXECUTIONS if event["path"] is None else _OF_FILES
    trigger = event["trigger"]
    begun = "first seen" if event["before"] is None else f"{trigger}: {event['after']}"
    verb = verbs.get(trigger, begun)
    known = [text for part in _PARTS if (text := part(event["detail"]))]
    return ": ".join([verb, "; ".join(known)]) if known else verb


def _why(detail: Mapping[str, Any]) -> str:
    sentence = [detail[part] for part in ("what", "why") if detail.get(part)]
    return ": ".join(sentence) or str((detail.get("verdict") or {}).get("why") or "")


def _until(detail: Mapping[str, Any]) -> str:
    return f"again at {clock(detail['next_at'])}" if detail.get("next_at") else ""


def _attempts(detail: Mapping[str, Any]) -> str:
    return f"{counted(detail['attempts'], 'attempt')} failed" if detail.get("attempts") else ""


def _files(detail: Mapping[str, Any]) -> str:
    counts = detail.get("files")
    if not isinstance(counts, Mapping):
        return ""
    return ", ".join(f"{number:,} {state}" for state, number in counts.items() if number)


def _bytes(detail: Mapping[str, Any]) -> str:
    return size(detail["size_bytes"]) if detail.get("size_bytes") else ""


def _place(detail: Mapping[str, Any]) -> str:
    return ", ".join(str(detail[part]) for part in ("rid", "url") if detail.get(part))


def _seconds(detail: Mapping[str, Any]) -> str:
    return f"took {span(detail['seconds'])}" if (detail.get("seconds") or 0) >= 1 else ""


_PARTS: Final = (_why, _files, _bytes, _place, _until, _attempts, _seconds)
