"""`status --watch`: `status` again every second, even if the journal cannot be read for a while."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from deriva_watch.core.errors import TroubleError
from deriva_watch.edges.journal import open_readonly
from deriva_watch.status.text.elements import line, print_view, screen, sentence
from deriva_watch.status.text.summary import render_summary
from deriva_watch.status.views import summary

_EVERY_S: Final = 1.0
View = dict[str, Any] | TroubleError


def looks(url: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[View]:
    """Yield a summary every second, or the error if the journal cannot be read.

    Raises TroubleError if the first one fails. The journal is opened each time, because another
    may have replaced it.
    """
    yield summary(open_readonly(url), datetime.now(UTC))
    while True:
        sleep(_EVERY_S)
        try:
            yield summary(open_readonly(url), datetime.now(UTC))
        except TroubleError as error:
            yield error


def watch(views: Iterator[View], *, whole: bool, console: Console | None = None) -> None:
    """Show each view in the place of the one before; in a pipe, one after the other."""
    console = console or screen()
    if not console.is_terminal:
        for view in views:
            print_view(console, _rendered(view, whole=whole))
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        try:
            for view in views:
                live.update(_rendered(view, whole=whole), refresh=True)
        finally:
            live.vertical_overflow = "visible"  # the last view stays


def _rendered(view: View, *, whole: bool) -> RenderableType:
    if not isinstance(view, TroubleError):
        return render_summary(view, whole=whole)
    said = {"what": "", "why": view.why, "next": view.next}
    return Group(line(f"✗ {view.what}", "bold red"), *sentence(said), Text())
