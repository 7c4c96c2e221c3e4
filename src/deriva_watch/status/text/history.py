"""`history`: which executions were uploaded, refused or gone, and when."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from deriva_watch.core.prose import counted
from deriva_watch.core.states import ExecutionState
from deriva_watch.edges.journal import Reader
from deriva_watch.edges.journal.status_queries import Ended
from deriva_watch.status.amounts import clock, size
from deriva_watch.status.json_values import plain, some
from deriva_watch.status.renamed import earlier
from deriva_watch.status.text.elements import STYLES, cell, grid, line
from deriva_watch.status.views import executions_of

_ENDS: Final = (ExecutionState.UPLOADED, ExecutionState.REFUSED, ExecutionState.GONE)


def endings(
    reader: Reader, since: datetime | None = None, rid: str | None = None
) -> dict[str, Any]:
    """Return how executions ended, the oldest first, and totals for each day (UTC).

    `files` and `bytes` are what was uploaded since the execution's previous end, `files_of` is the
    number of all its files, if an upload reported it. Files of a folder that was renamed count
    where they were uploaded. Raises TroubleError if there is no execution *rid*.
    """
    renamed = earlier(reader.sharers())
    wanted = {execution.id for execution in executions_of(reader, rid)} if rid is not None else None
    entries = [
        _entry(reader, ended, before, renamed)
        for ended, before in _with_ends_before(reader)
        if (wanted is None or ended.execution.id in wanted)
        and (since is None or ended.line.at >= since)
    ]
    days = groupby(entries, key=lambda entry: entry["at"][:10])
    return {
        "since": plain(since),
        "endings": entries,
        "days": [_day(day, list(of_day)) for day, of_day in days],
    }


def _with_ends_before(reader: Reader) -> Iterator[tuple[Ended, int]]:
    """Yield every end, the oldest first, with the id of the execution's previous end or 0."""
    last: dict[int, int] = {}
    for ended in reversed(reader.endings(_ENDS)):
        number = ended.execution.id
        yield ended, last.get(number, 0)
        last[number] = ended.line.id


def _entry(
    reader: Reader, ended: Ended, before: int, renamed: Mapping[int, Collection[int]]
) -> dict[str, Any]:
    line, execution = ended.line, ended.execution
    gone = renamed.get(execution.id, ())
    amount = reader.uploaded_between(execution.id, before, line.id, gone)
    said = {part: plain(line.detail.get(part)) for part in ("what", "why", "next")}
    return {
        "at": plain(line.at),
        **some(execution, ("rid", "prefix", "label")),
        "state": line.after,
        **amount._asdict(),
        "files_of": sum(line.detail.get("files", {}).values()) or None,
        **said,
    }


def _day(day: str, entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    listed = list(entries)
    return {
        "day": day,
        **{state.value: sum(each["state"] == state for each in listed) for state in _ENDS},
        "files": sum(each["files"] for each in listed),
        "bytes": sum(each["bytes"] for each in listed),
    }


def render_endings(found: Mapping[str, Any]) -> RenderableType:
    """Return one line for each end, and one for each day."""
    if not found["endings"]:
        when = f" since {clock(found['since'])} UTC" if found["since"] else ""
        return line(f"no execution was uploaded, refused or gone{when}")
    table = grid()
    table.add_column()
    table.add_column()
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()
    for entry in found["endings"]:
        table.add_row(
            cell(clock(entry["at"])),
            cell(entry["rid"], "bold"),
            cell(entry["state"], STYLES.get(entry["state"], "")),
            cell(_files(entry)),
            cell(size(entry["bytes"])),
            cell(entry["what"] if entry["state"] == ExecutionState.REFUSED else ""),
        )
    return Group(table, Text(), *(_sum(day) for day in found["days"]))


def _files(entry: Mapping[str, Any]) -> str:
    """Return how many files came in; "refused 2 files" would say that they were refused."""
    if entry["state"] == ExecutionState.REFUSED and entry["files_of"]:
        return f"{entry['files']:,} of {counted(entry['files_of'], 'file')} uploaded"
    return counted(entry["files"], "file")


def _sum(day: Mapping[str, Any]) -> RenderableType:
    ends = ", ".join(f"{day[state]:,} {state}" for state in _ENDS if day[state])
    text = f"{day['day']}  {ends}; {counted(day['files'], 'file')}, {size(day['bytes'])} uploaded"
    return line(text, "bold")
