"""`deriva-watch upload PATH…`: upload directories now."""

import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.prose import printable

if TYPE_CHECKING:
    from deriva_watch.core.events import Event
    from deriva_watch.core.records import ExecutionRecord, UploadResult


@app.command()
def upload(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH…",
            help="Execution directories, folders that contain deriva-ml/, drop folders, or "
            "directories in drop folders.",
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload execution directories now, without waiting for them to become quiet.

    Files that are already in the catalog are not sent again. Exit status 0 if everything is in the
    catalog, 3 if something was refused, 4 if no file matched, 10 if the server cannot be reached.

    For example: deriva-watch upload /data/deriva-ml/execution/4-AB2C
    """
    from deriva_watch.commands.targets import units_at
    from deriva_watch.commands.upload import uploading
    from deriva_watch.settings.model import load

    loaded = load(config)
    units = units_at(paths, loaded)
    screen = _Screen(quiet=as_json or not sys.stderr.isatty())
    brought: list[UploadResult] = []
    with screen, uploading(loaded, screen.emit, threading.Event(), screen.moved) as one_shot:
        for unit in one_shot.units(units):
            brought.append(one_shot.upload(unit))
            if not as_json:
                screen.done(brought[-1].record)
    if not brought and not as_json:
        print("nothing new to upload")
    if as_json:
        files = sum((each.files for each in brought if each.files), Counter[str]())
        print_json({"executions": [_document(each.record) for each in brought], "files": files})
    raise typer.Exit(_exit(brought))


def _document(record: "ExecutionRecord") -> dict[str, Any]:
    said = {"what": record.what, "why": record.why, "next": record.next}
    return {"rid": record.rid, "prefix": record.prefix, "state": record.state} | {
        name: text for name, text in said.items() if text
    }


def _exit(brought: "list[UploadResult]") -> Exit:
    states = {each.record.state for each in brought}
    if states <= {"uploaded"}:  # also if there was nothing new in a drop folder
        return Exit.DONE
    if all(each.nothing_matched for each in brought):
        return Exit.NOTHING_MATCHED
    return Exit.SERVER_AWAY if "waiting" in states else Exit.REFUSED


class _Screen:
    """Progress on standard error, results on standard output."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._quiet = quiet
        self._bars: dict[tuple[str, str], tuple[Any, int]] = {}  # and how many bytes are done
        self._lock = threading.Lock()
        self._out = Console(stderr=False, soft_wrap=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.fields[phase]:<5}"),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=quiet,
        )
        self._sizes: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def emit(self, event: "Event") -> None:
        """Print refused and unmatched files, and warnings."""
        from deriva_watch.core.events import ExecutionChanged, FileChanged

        if isinstance(event, FileChanged):
            if event.size_bytes:
                self._sizes[event.path] = event.size_bytes
            if event.state in {"refused", "unmatched"} and not self._quiet:
                self._say(f"[red]{event.state}[/] ", f"{event.path}: {event.why}. {event.next}")
        elif not isinstance(event, ExecutionChanged) and event.level in {"warning", "error"}:
            values = event.values()
            self._say("[yellow]note[/] ", f"{values.get('about', '')} {values.get('why', '')}")

    def moved(self, path: str, phase: str, count: int) -> None:
        """Advance the progress bar of a file."""
        key, size_bytes = (path, phase), self._sizes.get(path)
        with self._lock:
            bar, done_bytes = self._bars.get(key) or (
                self._progress.add_task(printable(path), total=size_bytes, phase=phase),
                0,
            )
            self._bars[key] = bar, done_bytes + count
            if is_done := done_bytes + count == size_bytes:
                del self._bars[key]
        self._progress.advance(bar, count)
        if is_done:
            self._progress.remove_task(bar)

    def done(self, record: "ExecutionRecord") -> None:
        """Print the state of an execution."""
        from deriva_watch.core.layout import LOOSE

        name = record.prefix if record.rid == LOOSE else record.rid
        self._out.print(f"{printable(name)}  {record.state}", markup=False)
        if record.why:
            for part in (record.what, record.why, record.next):
                self._out.print(f"  {printable(part or '')}", markup=False)

    def _say(self, mark: str, text: str) -> None:
        from rich.markup import escape

        if not self._quiet:
            self._progress.console.print(mark + escape(printable(text)))
