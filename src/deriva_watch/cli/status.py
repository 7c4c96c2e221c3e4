"""`deriva-watch status`: what is in, what is on its way, what needs a person."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app, print_json


@app.command()
def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second.")] = False,
) -> None:
    """Show how many executions and files stand where, and what is refused or waits.

    Reads the journal only; the daemon need not run.
    """
    from deriva_watch import settings
    from deriva_watch.status import open_views, render_summary, show, summary

    reader = open_views(settings.load(config).journal.url)
    while True:
        view = summary(reader, datetime.now(UTC))
        if as_json:
            print_json(view)
        else:
            show(render_summary(view))
        if not watch:
            break
        time.sleep(1)
