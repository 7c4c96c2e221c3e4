"""The first line of `status`: is everything in the catalog, and if not, what next?"""

from collections.abc import Mapping
from shlex import quote
from typing import Any, Final

from deriva_watch.core.prose import counted
from deriva_watch.core.states import ExecutionState
from deriva_watch.edges.host.problems import Scope
from deriva_watch.status.amounts import clock

_GOING: Final = (ExecutionState.READY, ExecutionState.UPLOADING)


def headline(summary: Mapping[str, Any], safe_files: int, safe_executions: int) -> dict[str, Any]:
    """Return level, text and the next command for a summary.

    Levels: `trouble`, the daemon cannot work; `person`, something is refused, unmatched or paused;
    `busy`, something is being uploaded or not complete yet; `safe`, everything is in the catalog;
    `empty`, no file was ever uploaded.

    Args:
        summary: The other fields of `summary`.
        safe_files: Number of files that are in the catalog.
        safe_executions: Number of executions that these files belong to.
    """
    safe = _safe(summary, safe_files, safe_executions)
    ends = [
        _trouble(summary, safe),
        _paused(summary, safe),
        _person(summary, safe),
        _busy(summary, safe),
    ]
    for end in ends:
        if end is not None:
            return end
    if cancelled := summary["cancelled"]:
        said = f"{counted(cancelled, 'execution')} {_are(cancelled)} cancelled"
        return _verdict("safe" if safe else "empty", _joined(said, safe))
    if safe:
        return _verdict("safe", safe if safe_files == 1 else f"all {safe}")
    return _verdict("empty", "no execution was found yet", "deriva-watch check")


def stops_daemon(problem: Mapping[str, Any]) -> bool:
    """Return whether a problem stops the daemon, and not only what it is about."""
    return bool(problem.get("scope", Scope.DAEMON) == Scope.DAEMON)


def _verdict(level: str, text: str, then: str | None = None) -> dict[str, Any]:
    return {"level": level, "text": text, "next": then}


def _safe(summary: Mapping[str, Any], files: int, executions: int) -> str:
    if not files or summary["differing"]:  # then nobody knows
        return ""
    hosts = {server.partition("/")[0] for server in (summary["server"] or "").split(", ")}
    where = " and ".join(sorted(hosts))
    of = counted(executions, "execution")
    return f"{counted(files, 'file')} of {of} {_are(files)} in the catalog on {where}"


def _trouble(summary: Mapping[str, Any], safe: str) -> dict[str, Any] | None:
    if summary["daemon"] is None:
        return _verdict("trouble", _joined("no daemon is running", safe), "deriva-watch run")
    problems = list(filter(stops_daemon, summary["problems"]))
    if not problems:
        return None
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    text = _joined(f"the daemon cannot work: {problems[0]['what']}{more}", safe)
    return _verdict("trouble", text, "deriva-watch check")


def _paused(summary: Mapping[str, Any], safe: str) -> dict[str, Any] | None:
    for pause in summary["paused"]:
        if pause["about"] == "host":
            since = f"{pause['what']} since {clock(pause['since'])} UTC"
            text = f"all uploads are {since}: {pause['why']}"
            return _verdict("person", _joined(text, safe), "deriva-watch resume")
    return None


def _person(summary: Mapping[str, Any], safe: str) -> dict[str, Any] | None:
    number, folders = summary["attention"]["executions"], summary["attention"]["folders"]
    if not number + folders:
        return None
    if not number:
        (first, *_) = (each for each in summary["problems"] if not stops_daemon(each))
        need = f"{_problems(folders)} attention: {first['what']}"
        return _verdict("person", _joined(need, safe), "deriva-watch check")
    need = f"{counted(number, 'execution')} need{_s(number)} attention"
    if folders:
        need = f"{counted(number, 'execution')} and {_problems(folders)} attention"
    lists = ("refused", "unmatched", "differing")
    entries = (entry for name in lists for entry in summary[name])
    names = [entry["rid"] for entry in entries if not entry.get("cancelled")]
    then = f"deriva-watch show {quote(names[0])}" if names else None
    return _verdict("person", _joined(need, safe), then)


def _problems(number: int) -> str:
    return f"{counted(number, 'problem')} of folders need{_s(number)}"


def _busy(summary: Mapping[str, Any], safe: str) -> dict[str, Any] | None:
    counts, paused = summary["executions"], {each["about"] for each in summary["paused"]}
    failed = [each["rid"] for each in summary["waiting"] if each["rid"] not in paused]
    waits = len(summary["waiting"]) - len(failed)
    again = counts[ExecutionState.WAITING] - waits
    going = sum(counts[state] for state in _GOING)
    filling = counts[ExecutionState.FILLING]
    parts = []
    if going:
        parts.append(f"{counted(going, 'execution')} {_are(going)} being uploaded")
    if again:
        parts.append(f"{counted(again, 'execution')} {_are(again)} waiting for a retry")
    if filling:
        parts.append(f"{counted(filling, 'execution')} {_are(filling)} not complete yet")
    if waits:
        parts.append(f"{counted(waits, 'execution')} {_are(waits)} paused")
    then = f"deriva-watch show {quote(failed[0])}" if failed else None  # it may need a person
    return _verdict("busy", _joined(", ".join(parts), safe), then) if parts else None


def _s(number: int) -> str:
    return "s" if number == 1 else ""


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _joined(first: str, safe: str) -> str:
    return f"{first}; {safe}" if safe else first
