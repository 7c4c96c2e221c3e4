"""`deriva-watch plan PATH…`: what would be uploaded where, and what would not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.prose import printable

if TYPE_CHECKING:
    from deriva_watch.commands.plan import Preview

_PATHS: Final = (
    "Execution directories, folders that contain deriva-ml/, drop folders, or directories in drop "
    "folders."
)


@app.command()
def plan(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help=_PATHS),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show for each file where it would go, and for each directory whether it is complete.

    A file that would not be uploaded is shown with the reason.

    Reads the catalog's model from the server; writes nothing. Exit status 3 if a directory
    belongs to another catalog, 4 if no file matches.

    For example: deriva-watch plan /data
    """
    from deriva_watch.cli.plan_forms import document, show_plan
    from deriva_watch.commands.plan import previewing
    from deriva_watch.commands.targets import units_at
    from deriva_watch.core.layout import LOOSE
    from deriva_watch.settings.model import load

    loaded = load(config)
    units = units_at(paths, loaded)
    plans: dict[str, Preview] = {}
    refused: dict[str, RefusedError] = {}
    with previewing(loaded) as preview:
        for unit in units:
            name = str(unit.prefix) if unit.name == LOOSE else unit.name
            try:
                if found := preview(unit):
                    plans[name] = found
            except RefusedError as error:
                refused[name] = error
    if as_json:
        told = {rid: {"error": trouble.sentence()} for rid, trouble in refused.items()}
        print_json({rid: document(found) for rid, found in plans.items()} | told)
    else:
        for found in plans.values():
            show_plan(found)
        for trouble in refused.values():
            print(*map(printable, (trouble.what, trouble.why, trouble.next)), sep="\n  ")
    if refused:
        raise typer.Exit(Exit.REFUSED)
    matched = any(found.plan.work for found in plans.values())
    raise typer.Exit(Exit.DONE if matched else Exit.NOTHING_MATCHED)
