"""`deriva-watch show RID`: everything the journal knows of one execution."""

from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app, print_json


@app.command()
def show(
    rid: Annotated[str, typer.Argument(metavar="RID", help="RID of the execution.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one execution: why it counts as complete or not yet, every file, its history."""
    from deriva_watch import settings
    from deriva_watch import status as views

    view = views.details(views.open_views(settings.load(config).journal.url), rid)
    if as_json:
        print_json(view)
    else:
        views.show(views.render_details(view))
