"""How far everything is, as the journal says it: a live table on a terminal, else lines."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.demo.producer import Run, Written
from deriva_watch.status import open_views

_SHARES: Final = {  # of the way that a file has behind it
    FileState.HASHED: 0.2,
    FileState.STORED: 0.8,
    FileState.RECORDED: 0.9,
    FileState.LINKED: 1.0,
}
_STUCK: Final = {ExecutionState.WAITING, ExecutionState.REFUSED}
_SYMBOLS: Final = {
    "filling": ("○", "cyan"),
    "ready": ("○", "cyan"),
    "found": ("◔", "blue"),
    "hashed": ("◑", "blue"),
    "stored": ("◕", "blue"),
    "recorded": ("●", "blue"),
    "linked": ("✔", "green"),
    "uploaded": ("✔", "green"),
    "uploading": ("◑", "blue"),
    "waiting": ("…", "yellow"),
    "refused": ("✘", "red"),
}


@dataclass(frozen=True, slots=True)
class FileView:
    """How far a file is; `share` is between 0 and 1."""

    name: str
    size_bytes: int
    state: str
    share: float = 0.0
    chunks: str = ""


@dataclass(frozen=True, slots=True)
class RunView:
    """How far an execution is, and why no farther; *name* is its RID or that of the unit."""

    run: Run
    name: str
    state: str
    why: str
    files: tuple[FileView, ...]


Show = Callable[[Sequence[RunView]], None]


def look(journal_url: str, runs: Sequence[Run]) -> list[RunView]:
    """Return what the journal says of *runs*; of what it does not know yet, what is written."""
    known: dict[str, tuple[ExecutionRecord, dict[str, FileRecord]]] = {}
    with suppress(TroubleError):  # there may be no journal yet
        reader = open_views(journal_url)
        for record in reader.executions():
            for run in (run for run in runs if run.is_unit(record.prefix, record.rid)):
                known[run.rid] = record, {file.path: file for file in reader.files(record.id)}
    return [_run_view(run, *known.get(run.rid, (None, {}))) for run in runs]


def _run_view(run: Run, record: ExecutionRecord | None, known: dict[str, FileRecord]) -> RunView:
    state = record.state if record else ExecutionState.FILLING
    why = (record and record.why) or ""
    if record and state is ExecutionState.FILLING and record.verdict:
        why = str(record.verdict.get("why", ""))
    files = (_file_view(file, known.get(file.name), state) for file in run.files)
    return RunView(run, record.rid if record else run.rid, state, why, tuple(files))


def _file_view(file: Written, record: FileRecord | None, state: str) -> FileView:
    if record is None:
        return FileView(file.asset.name, file.size_bytes, state if file.size_bytes else "")
    share = _SHARES.get(record.state, 0.0)
    if record.state is not FileState.HASHED or not record.job:
        return FileView(file.asset.name, file.size_bytes, record.state, share)
    done = len(record.job["chunks"])
    count = math.ceil(record.size_bytes / record.job["chunk_bytes"])
    share += done / count * (_SHARES[FileState.STORED] - share)
    chunks = f"{done} of {count} chunks"
    return FileView(file.asset.name, file.size_bytes, record.state, share, chunks)


@contextmanager
def screen(*, silent: bool) -> Iterator[Show]:
    """Yield what shows views: nowhere, live on a terminal, or in lines on standard error."""
    start_s = time.monotonic()
    if silent:
        yield lambda _: None
    elif not Console().is_terminal:
        yield _Lines(start_s).show
    else:
        with Live(refresh_per_second=10) as live:
            yield lambda views: live.update(picture(views, time.monotonic() - start_s))


def picture(views: Sequence[RunView], seconds: float) -> RenderableType:
    """Return all executions with their files, as a terminal shows them."""
    done = sum(file.state == FileState.LINKED for view in views for file in view.files)
    count = sum(len(view.files) for view in views)
    foot = Text(f"{done} of {count} files are in, {seconds:.0f} s", "dim")
    return Group(*(part for view in views for part in _execution(view)), foot)


def _execution(view: RunView) -> Iterator[RenderableType]:
    symbol, style = _SYMBOLS.get(view.state, ("?", "red"))
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(f"{symbol} {view.name} ", f"bold {style}")
    head.append(f"{view.run.script.title}  ", "bold")
    head.append(f"{view.state}{': ' if view.why else ''}{view.why}", style)
    yield head
    table = Table.grid(padding=(0, 2, 0, 0))
    for width in (24, 9, 24, 16):
        table.add_column(width=width, no_wrap=True)
    table.columns[1].justify = "right"
    for file in _told(view):
        symbol, style = _SYMBOLS.get(file.state, ("·", "dim"))
        table.add_row(
            Text(f"  {symbol} {file.name}", style),
            Text(decimal(file.size_bytes) if file.state else "", style),
            ProgressBar(total=1.0, completed=file.share),
            Text(file.chunks or file.state, style),
        )
    yield table


def _told(view: RunView) -> Sequence[FileView]:
    """Return a line for each file, or one for all: of an instrument, and of what is in."""
    done = view.state == ExecutionState.UPLOADED
    if not (done or view.run.script.layout.unit):
        return view.files
    count = len(view.files)
    state = FileState.LINKED if done else view.state
    size = sum(file.size_bytes for file in view.files)
    share = sum(file.share for file in view.files) / count
    return [FileView(f"{count} files", size, state, share)]


@dataclass(slots=True)
class _Lines:
    """A line for every execution that moves and every file that is in."""

    start_s: float
    _told: dict[str, str] = field(default_factory=dict)

    def show(self, views: Sequence[RunView]) -> None:
        for view in views:
            why = f": {view.why}" if view.state in _STUCK else ""
            self._tell(view.run.rid, view.state, f"{view.name} {view.run.script.title}{why}")
            for file in view.files:
                if file.state == FileState.LINKED:
                    self._tell(f"{view.run.rid}/{file.name}", file.state, file.name)

    def _tell(self, key: str, state: str, name: str) -> None:
        if self._told.get(key) != state:
            self._told[key] = state
            seconds = time.monotonic() - self.start_s
            sys.stderr.write(f"{seconds:5.1f} s  {state:<9}  {name}\n")
