"""`status` for people: is everything in the catalog, what is happening, what needs attention."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from shlex import quote
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from deriva_watch.core.prose import counted
from deriva_watch.status.amounts import after, before, clock, size, span
from deriva_watch.status.text.elements import (
    STYLES,
    Bar,
    cell,
    facts,
    grid,
    indented,
    line,
    percent,
    sentence,
    title,
)

_MARKS: Final = {
    "safe": ("✓", "bold green"),
    "busy": ("↑", "bold blue"),
    "person": ("!", "bold yellow"),
    "trouble": ("✗", "bold red"),
    "empty": ("·", "bold"),
}
_OLD_S: Final = 3600.0  # a younger backlog is not shown
_SHOWN: Final = 3  # entries of a list, so that all of it fits one screen
_Entry = Mapping[str, Any]


def render_summary(summary: Mapping[str, Any], *, whole: bool = False) -> RenderableType:
    """Return a summary that fits one screen; *whole*: with all entries of its lists."""
    return Group(
        verdict_line(summary["verdict"]),
        *_next(summary["verdict"]),
        *_problems(summary["problems"]),
        *chain(*(_section(summary, name, whole=whole) for name in _SECTIONS)),
        *_notices(summary["notices"]),
        Text(),
        facts(_facts(summary)),
    )


def verdict_line(verdict: Mapping[str, Any]) -> RenderableType:
    """Return the first line."""
    mark, style = _MARKS[verdict["level"]]
    table = grid()
    table.add_row(Text(mark, style), cell(verdict["text"], style))
    return table


def _next(verdict: Mapping[str, Any]) -> Iterator[RenderableType]:
    if verdict["next"]:
        yield indented(line(verdict["next"]), 3)


def _problems(problems: Iterable[_Entry]) -> Iterator[RenderableType]:
    for each in problems:
        yield Text()
        yield from sentence(each)


def _notices(notices: Iterable[_Entry]) -> Iterator[RenderableType]:
    for each in notices:
        yield Text()
        yield line(f"{each['what']}: {each['why']}. {each['next']}", "dim")


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    sizes = summary["bytes"]
    known = {
        "server": summary["server"] or "",
        "daemon": "not running" if summary["daemon"] is None else f"process {summary['daemon']}",
        "journal": summary["journal"],
        "executions": _counts(summary["executions"]),
        "files": _counts(summary["files"]),
        "bytes": f"{size(sizes['safe'])} in the catalog, {size(sizes['pending'])} to upload",
        "oldest": f"complete for {span(summary['oldest_pending_s'])}, still not uploaded",
    }
    if summary["oldest_pending_s"] < _OLD_S:
        del known["oldest"]
    if proof := summary["oldest_proof"]:
        known["oldest proof"] = f"{clock(proof['at'])} UTC, {proof['rid']}: {proof['proved']}"
    return {name: text for name, text in known.items() if text}


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "none"


def _section(summary: _Entry, name: str, *, whole: bool) -> Iterator[RenderableType]:
    entries = summary[name]
    if not entries:
        return
    heading, render = _SECTIONS[name]
    yield title(heading)
    shown = entries if whole else entries[:_SHOWN]
    yield from render(shown, summary)
    if more := len(entries) - len(shown) + summary.get(f"{name}_more", 0):
        yield line(f"  and {more:,} more{'' if whole else ': deriva-watch status --all'}", "dim")


def _in_flight(entries: Iterable[_Entry], summary: _Entry) -> Iterator[RenderableType]:
    for entry in entries:
        table = grid()
        who, speed = cell(f"  {_who(entry, summary)}", "bold"), cell(_speed(entry))
        if entry["files"]:
            table.add_row(who, *_share(entry["bytes_done"], entry["bytes"]), _amount(entry), speed)
        else:
            table.add_row(who, entry["state"])
        yield table
        files = grid()
        for each in entry["current"]:
            share = _share(each["bytes_done"], each["bytes"])
            files.add_row(*share, cell(f"of {size(each['bytes'])}"), cell(each["path"]))
        if entry["current"]:
            yield indented(files)


def _share(done: int, total: int) -> tuple[RenderableType, RenderableType]:
    return Bar(done, total), Text(percent(done, total))


def _amount(entry: _Entry) -> str:
    return f"{entry['files_done']:,} of {counted(entry['files'], 'file')}, {size(entry['bytes'])}"


def _speed(entry: _Entry) -> str:
    if not entry["rate_bytes_per_s"]:
        return ""
    return f"{size(entry['rate_bytes_per_s'])}/s, {span(entry['eta_s'])} left"


def _filling(entries: Iterable[_Entry], summary: _Entry) -> Iterator[RenderableType]:
    table = grid()
    for entry in entries:
        again = after(entry["next_at"], summary["at"])
        why = entry["why"] or "not checked yet"
        text = f"{why}; next check {again}" if again else why
        if entry.get("files") is not None:
            text = f"{counted(entry['files'], 'file')}, {size(entry['bytes'] or 0)} so far: {text}"
        table.add_row(cell(f"  {_who(entry, summary)}", "bold"), cell(text))
    yield table


def _waiting(entries: Iterable[_Entry], summary: _Entry) -> Iterator[RenderableType]:
    for entry in entries:
        attempts = f", {counted(entry['attempts'], 'attempt')} failed" if entry["attempts"] else ""
        again = after(entry["next_at"], summary["at"])
        text = f"  {_who(entry, summary)}{f', next attempt {again}' if again else ''}{attempts}"
        yield line(text, STYLES["waiting"])
        yield from sentence(entry)


def _refused(entries: Iterable[_Entry], summary: _Entry) -> Iterator[RenderableType]:
    for entry in entries:
        yield line(f"  {_who(entry, summary)}", STYLES["refused"])
        yield from sentence(entry)


def _differing(entries: Iterable[_Entry], summary: _Entry) -> Iterator[RenderableType]:
    for entry in entries:
        since = before(entry["since"], summary["at"])
        yield line(f"  {_who(entry, summary)}, found {since}", STYLES["refused"])
        yield from sentence(entry)


def _unmatched(entries: Iterable[_Entry], summary: _Entry) -> Iterator[RenderableType]:
    for entry in entries:
        files = counted(entry["files"], "file")
        command = f"deriva-watch show {quote(entry['rid'])}"
        yield line(f"  {_who(entry, summary)}: {files}, {command}", STYLES["unmatched"])
        for each in entry["examples"][:1]:
            why = f": {each['why']}" if each["why"] else ""
            yield indented(line(f"{each['path']}{why}"))


def _paused(entries: Iterable[_Entry], summary: _Entry) -> Iterator[RenderableType]:
    for entry in entries:
        since = before(entry["since"], summary["at"])
        about = "all uploads" if entry["about"] == "host" else entry["about"]
        yield line(f"  {about}, {since}", STYLES["waiting"])
        yield from sentence(entry)


def _recent(entries: Iterable[_Entry], summary: _Entry) -> Iterator[RenderableType]:
    table = grid()
    for entry in entries:
        table.add_row(
            cell(f"  {_who(entry, summary)}", "bold"),
            cell(before(entry["at"], summary["at"])),
            cell(f"{counted(entry['files'], 'file')}, {size(entry['bytes'])}"),
        )
    yield table


def _who(entry: _Entry, summary: _Entry) -> str:
    """Return the name of an entry; with its folder if the entries are in several folders."""
    several = len({each["prefix"] for name in _LISTS for each in summary[name]}) > 1
    return f"{entry['rid']} in {entry['prefix']}" if several else str(entry["rid"])


_SECTIONS: Final[Mapping[str, tuple[str, Callable[..., Iterator[RenderableType]]]]] = {
    "paused": ("paused", _paused),
    "in_flight": ("uploading", _in_flight),
    "filling": ("not complete yet", _filling),
    "waiting": ("waiting", _waiting),
    "refused": ("refused", _refused),
    "unmatched": ("unmatched", _unmatched),
    "differing": ("no longer on the server as uploaded", _differing),
    "recent": ("uploaded last", _recent),
}
_LISTS: Final = tuple(name for name in _SECTIONS if name != "paused")
