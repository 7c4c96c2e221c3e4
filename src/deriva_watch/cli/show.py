"""`deriva-watch show RID`: everything that the journal knows about one execution."""

from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app, print_json


@app.command()
def show(
    rid: Annotated[
        str, typer.Argument(metavar="RID", help="RID of the execution, or name of the unit.")
    ],
    path: Annotated[
        str | None, typer.Argument(metavar="PATH", help="Only this file, with its history.")
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="List all files.")] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="List all files, the full history, and the history of each file."
        ),
    ] = False,
    receipt: Annotated[
        bool, typer.Option("--receipt", help="Print the receipt of its upload as JSON.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one execution: its state, why it is complete or not, its files and its history.

    Exit status 2 if the journal has no such execution.

    For example: deriva-watch show 4-AB2C
    """
    from deriva_watch import status as views
    from deriva_watch.settings.model import load

    known = load(config)
    reader = views.open_views(known.journal.url)
    if receipt:
        for kept in views.kept_receipts(reader, known.state_directory, rid):
            print_json(kept)
        return
    view = views.details(reader, rid, path)
    if as_json:
        print_json(view)
    else:
        views.show(views.render_details(view, files=files, whole=everything))
