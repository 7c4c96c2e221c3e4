"""The same for people: tables that fit a terminal and stay whole in a pipe."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import IO, Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from deriva_watch.core.prose import printable
from deriva_watch.status.verdict import readable

_PIPE_WIDTH: Final = 100_000  # nothing is cut or folded where nobody looks at the edge
_FILE_COLUMNS: Final = ("state", "size_bytes", "md5", "table", "rid", "rows", "url", "path")
_STYLES: Final = {"refused": "bold red", "waiting": "yellow", "unmatched": "yellow"}


def show(view: RenderableType, file: IO[str] | None = None) -> None:
    """Print *view* to *file*, by default the standard output; in a pipe one line a row."""
    console = Console(file=file)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(view)


def render_summary(summary: Mapping[str, Any]) -> RenderableType:
    """Return what `summary` found, as tables."""
    facts = {
        "health": "healthy" if summary["healthy"] else "not healthy",
        "server": summary["server"],
        "journal": summary["journal"],
        "daemon": "not running" if summary["daemon"] is None else f"process {summary['daemon']}",
        "oldest pending": f"{summary['oldest_pending_s']:.0f} s",
    }
    counts = (_counts(noun, summary[noun]) for noun in ("executions", "files"))
    entries = (_entry(kind, entry) for kind in ("refused", "waiting") for entry in summary[kind])
    problems = (Text(problem, "yellow") for problem in summary["problems"])
    notices = (
        Text(printable(f"{each['what']}: {each['why']}. {each['next']}"))
        for each in summary["notices"]
    )
    return Group(_facts(facts), *problems, *notices, *chain(*counts), *chain(*entries))


def render_details(details: Mapping[str, Any]) -> RenderableType:
    """Return what `details` found, as tables; of the history only the execution's own lines."""
    return Group(*chain(*(_execution(execution) for execution in details["executions"])))


def _execution(execution: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield from _entry(execution["state"], execution)
    made = execution.get("execution_rid")  # for a unit of a drop folder
    about = {"server": execution["server"], **({"execution": made} if made else {})}
    yield _facts({**about, "since": execution["changed_at"]})
    if execution["verdict"]:
        yield _title("verdict")
        yield _facts(readable(execution["verdict"]))
    if execution["files"]:
        yield _title("files")
        yield _table(_FILE_COLUMNS, execution["files"])
        for file in execution["files"]:
            if file["what"]:
                yield from _entry(file["state"], {**file, "rid": file["path"], "prefix": None})
        moved = {
            f["path"]: to for f in execution["files"] if (to := (f.get("removal") or {}).get("to"))
        }
        if moved:
            yield _title("moved to")
            yield _facts(moved)
    if (execution.get("removal") or {}).get("what"):
        yield from _entry("kept", {**execution, **execution["removal"]})
    if execution["notices"]:
        yield _title("notices")
        for about, why in execution["notices"].items():
            yield Text(f"    {printable(about)}: {printable(why)}")
    yield _title("history")
    yield _table(
        ("at", "trigger", "before", "after", "detail"),
        (line for line in execution["history"] if line["path"] is None),
    )


def _counts(noun: str, counts: Mapping[str, int]) -> Iterator[RenderableType]:
    yield _title(noun)
    yield _facts({state: count for state, count in counts.items() if count} or {"none": ""})


def _entry(kind: str, entry: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield Text()
    place = f" in {entry['prefix']}" if entry["prefix"] else ""
    again = f", again at {entry['next_at']}" if entry.get("next_at") else ""
    yield Text(printable(f"{kind} {entry['rid']}{place}{again}"), _STYLES.get(kind, "bold"))
    for part in ("what", "why", "next"):
        if entry[part]:
            yield Text(f"    {printable(entry[part])}")


def _title(title: str) -> Text:
    return Text(f"\n{title}", "bold")


def _facts(facts: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, value in facts.items():
        table.add_row(_cell(name, "bold"), _cell(value))
    return table


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            *(_cell(row.get(column)) for column in columns), style=_STYLES.get(row.get("state", ""))
        )
    return table


def _cell(value: Any, style: str = "") -> Text:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False) if value else None
    return Text("" if value is None else printable(str(value)), style, overflow="fold")
