"""`deriva-watch status`: is everything in the catalog, and what needs attention."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.errors import TroubleError


@app.command()
def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Repeat every second, until Ctrl-C.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Show all entries of every list.")
    ] = False,
) -> None:
    """Show whether everything is in the catalog, what is being uploaded, what needs attention.

    The first line is the summary, and the line below it the command to run next. This reads only
    the journal, so it also works while no daemon runs. --watch --json prints one JSON document per
    line.

    Exit status 0 whatever the state is, 2 if there is no journal.

    For example: deriva-watch status --watch
    """
    from deriva_watch import status as views
    from deriva_watch.settings.model import load

    url = load(config).journal.url
    if watch:
        _watch(url, as_json=as_json, whole=everything)
    view = views.summary(views.open_views(url), datetime.now(UTC))
    if as_json:
        print_json(view)
    else:
        views.show(views.render_summary(view, whole=everything))


def _watch(url: str, *, as_json: bool, whole: bool) -> None:
    from deriva_watch.status.text.watch import looks, watch

    with suppress(KeyboardInterrupt):
        if as_json:
            _print_lines(looks(url))
        else:
            watch(looks(url), whole=whole)
    raise typer.Exit(Exit.SIGNAL + signal.SIGINT)


def _print_lines(looks: Iterator[dict[str, Any] | TroubleError]) -> None:
    for view in looks:
        said = {"error": view.sentence()} if isinstance(view, TroubleError) else view
        print_json(said, indent=None)
