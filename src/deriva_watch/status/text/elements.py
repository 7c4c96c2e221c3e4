"""Elements of the views for people: they fit a terminal, and nothing is cut in a pipe."""

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any, Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deriva_watch.core.prose import printable

_PIPE_WIDTH: Final = 100_000  # nothing is cut or folded
_BAR_WIDTH: Final = 10
STYLES: Final = {"refused": "bold red", "waiting": "yellow", "unmatched": "yellow"}


def screen(file: IO[str] | None = None) -> Console:
    """Return a console for *file*, by default standard output; it is wide if that is a pipe."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def show(view: RenderableType, file: IO[str] | None = None) -> None:
    """Print *view*; in a pipe one line for each row, without trailing spaces."""
    print_view(screen(file), view)


def print_view(console: Console, view: RenderableType) -> None:
    """Print *view* on a console made by `screen`."""
    if console.is_terminal:
        console.print(view)
        return
    with console.capture() as printed:
        console.print(view)
    lines = (each.rstrip(" ") for each in printed.get().splitlines())
    console.file.write("".join(f"{each}\n" for each in lines))
    console.file.flush()


class Bar:
    """A progress bar on a terminal, nothing in a pipe."""

    def __init__(self, done: float, total: float) -> None:
        self._done, self._total = done, total

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        """Yield the bar."""
        if console.is_terminal:
            yield ProgressBar(total=self._total or 1, completed=self._done, width=_BAR_WIDTH)

    def __rich_measure__(self, console: Console, _options: ConsoleOptions) -> Measurement:
        """Return its width."""
        width = _BAR_WIDTH if console.is_terminal else 0
        return Measurement(width, width)


def percent(done: float, total: float) -> str:
    """Return a share in percent; 100% only if it is all."""
    return f"{100 if done >= total else min(99, int(100 * done / total))}%"


def title(text: str) -> Text:
    """Return the heading of a section."""
    return Text(f"\n{text}", "bold")


def line(text: str, style: str = "") -> Text:
    """Return one line; control characters in names are escaped."""
    return Text(printable(text), style)


def indented(content: RenderableType, left: int = 4) -> Padding:
    """Return *content* indented, also where it wraps."""
    return Padding(content, (0, 0, 0, left), expand=False)


def sentence(entry: Mapping[str, Any]) -> Iterable[RenderableType]:
    """Return a line for each of what, why and next that an entry has."""
    return [indented(line(entry[part])) for part in ("what", "why", "next") if entry.get(part)]


def facts(known: Mapping[str, Any]) -> Table:
    """Return names and values in two columns."""
    table = grid()
    for name, value in known.items():
        table.add_row(cell(name, "bold"), cell(value))
    return table


def grid() -> Table:
    """Return a table without lines."""
    return Table.grid(padding=(0, 2, 0, 0))


def cell(value: Any, style: str = "") -> Text:
    """Return a value as a cell of a table."""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False) if value else None
    return Text("" if value is None else printable(str(value)), style, overflow="fold")
