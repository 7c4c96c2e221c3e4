"""`deriva-watch spec`: the bulk specification that is used."""

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
        typer.Argument(
            metavar="[FOLDER]", help="A drop folder: the specification made from its settings."
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: ARG001 - it is
) -> None:
    """Print the bulk-upload specification as JSON; its mappings decide where files go.

    `[spec] source` decides where it comes from: the catalog's model, the catalog's annotation or
    a file. Exit status 3 if it cannot be used; it is printed anyway.

    For example: deriva-watch spec
    """
    from deriva_watch.commands.plan import specification
    from deriva_watch.settings.model import load

    document, problem, slow = specification(load(config), folder)
    print_json(document)
    for place, why in slow.items():  # beside the document, which programs read
        print(f"note: {printable(f'{place}: {why}')}", file=sys.stderr)
    if problem:
        print(
            *map(printable, (problem.what, problem.why, problem.next)), sep="\n  ", file=sys.stderr
        )
        raise typer.Exit(Exit.REFUSED)
