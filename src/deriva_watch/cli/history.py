"""`deriva-watch history`: what was uploaded when."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app, print_json


@app.command()
def history(
    rid: Annotated[
        str | None, typer.Argument(metavar="RID", help="Only this execution or unit.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help='Only since then: "24h", "7d", "2026-11-01" or "2026-11-01T08:00" (UTC).',
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which executions were uploaded, refused or gone, and when, with totals for each day.

    The newest is last. Times are UTC.

    Exit status 2 if there is no journal, or no such execution in it.

    For example: deriva-watch history 4-AB2C
    """
    from deriva_watch import status as views
    from deriva_watch.core.stats.moments import moment
    from deriva_watch.settings.model import load

    begin = None if since is None else moment(since, datetime.now(UTC))
    found = views.endings(views.open_views(load(config).journal.url), begin, rid)
    if as_json:
        print_json(found)
    else:
        views.show(views.render_endings(found))
