"""`deriva-watch spec`: the bulk specification in force."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.prose import printable


@app.command()
def spec(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="A drop folder: what it is compiled to."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: ARG001 - it is
) -> None:
    """Print the bulk-upload specification that files are matched with, as JSON.

    It comes from where `[spec] source` says: the catalog's model, the catalog's annotation, a file.
    Exit status 3 if it cannot be used; it is printed all the same.

    For example: deriva-watch spec
    """
    from deriva_watch.commands.plan import specification
    from deriva_watch.settings.model import load

    document, problem = specification(load(config), folder)
    print_json(document)
    if problem:  # beside the document, which programs read
        print(
            *map(printable, (problem.what, problem.why, problem.next)), sep="\n  ", file=sys.stderr
        )
        raise typer.Exit(Exit.REFUSED)
