"""`status --watch`: the same again every second, whatever becomes of the journal meanwhile."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from deriva_watch.core.errors import TroubleError
from deriva_watch.edges.journal import open_readonly
from deriva_watch.status.text.board import render_summary
from deriva_watch.status.text.text import line, screen, sentence, tell
from deriva_watch.status.views import summary

_EVERY_S: Final = 1.0
View = dict[str, Any] | TroubleError


def looks(url: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[View]:
    """Look again every second, for ever: a summary, or why there is none at this moment.

    The first look must succeed. It is opened anew each time: another may have taken its place.
    """
    yield summary(open_readonly(url), datetime.now(UTC))
    while True:
        sleep(_EVERY_S)
        try:
            yield summary(open_readonly(url), datetime.now(UTC))
        except TroubleError as error:
            yield error


def watch(views: Iterator[View], *, whole: bool, console: Console | None = None) -> None:
    """Show views in one place of a terminal, or one after the other in a pipe."""
    console = console or screen()
    if not console.is_terminal:
        for view in views:
            tell(console, _rendered(view, whole=whole))
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
