"""`deriva-watch plan PATH…`: what would go where, and why not."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, as_document, print_json
from deriva_watch.core.candidates import Leftover
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.plan import AssetPlan, Plan
from deriva_watch.core.prose import printable


@app.command()
def plan(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help="Execution directories, or folders with deriva-ml/."),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would become of every file: its table and row, or the reason why not.

    Asks the server for its model; writes nothing. Exit status 3 if a directory belongs to another
    catalog, 4 if no file matches.
    """
    from deriva_watch import settings
    from deriva_watch.upload import directories, previewing

    loaded, keys = settings.load(config), directories(paths)
    plans: dict[str, Plan] = {}
    refused: dict[str, RefusedError] = {}
    with previewing(loaded) as preview:
        for key in keys:
            try:
                if found := preview(key):
                    plans[key[1]] = found
            except RefusedError as error:
                refused[key[1]] = error
    if as_json:
        told = {rid: {"error": as_document(trouble)} for rid, trouble in refused.items()}
        print_json({rid: _document(found) for rid, found in plans.items()} | told)
    else:
        for rid, found in plans.items():
            _print(rid, found)
        for trouble in refused.values():
            print(*map(printable, (trouble.what, trouble.why, trouble.next)), sep="\n  ")
    if refused:
        raise typer.Exit(Exit.REFUSED)
    matched = any(found.assets for found in plans.values())
    raise typer.Exit(Exit.DONE if matched else Exit.NOTHING_MATCHED)


def _document(found: Plan) -> dict[str, Any]:
    return {
        "assets": [_asset(asset) for asset in found.assets],
        "left": [_leftover(left) for left in found.leftovers],
        "notices": found.notices,
    }


def _asset(asset: AssetPlan) -> dict[str, Any]:
    return {
        "path": asset.path,
        "links": list(asset.also),
        "size_bytes": asset.entry.size_bytes,
        "table": str(asset.table),
        "mapping": asset.match.mapping.number,
        "values": asset.values,
        "types": list(asset.types),
        "description": asset.description,
        "rid": asset.given_rid,
    }


def _leftover(left: Leftover) -> dict[str, Any]:
    return {"path": left.path, "because": left.trigger, "why": left.why, "next": left.next}


def _print(rid: str, found: Plan) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from deriva_watch.status import show

    table = Table(title=f"execution {rid}", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("file", "becomes", "with"):
        table.add_column(column, overflow="fold")
    for asset in found.assets:
        values = {name: value for name, value in asset.values.items() if value is not None}
        said = ", ".join(f"{name} = {value}" for name, value in values.items())
        types = f"types {', '.join(asset.types)}" if asset.types else ""
        cells = (asset.path, f"a row of {asset.table}", "; ".join(filter(None, (said, types))))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    for left in found.leftovers:
        cells = (left.path, left.trigger, left.why)
        table.add_row(*(Text(printable(cell)) for cell in cells), style="red")
    show(table)
    for about, why in found.notices.items():
        print(f"note: {printable(f'{about}: {why}')}")
