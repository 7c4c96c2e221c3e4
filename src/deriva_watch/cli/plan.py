"""`deriva-watch plan PATH…`: what would go where, and why not."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.candidates import Leftover
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

    Asks the server for its model; writes nothing. Exit status 4 if no file matches.
    """
    from deriva_watch import settings
    from deriva_watch.upload import directories, previewing

    loaded, keys = settings.load(config), directories(paths)
    with previewing(loaded) as preview:
        plans = {key[1]: found for key in keys if (found := preview(key))}
    if as_json:
        print_json({rid: _document(found) for rid, found in plans.items()})
    else:
        for rid, found in plans.items():
            _print(rid, found)
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
        row = f"a row of {asset.table}"
        table.add_row(
            Text(printable(asset.path)), row, Text("; ".join(filter(None, (said, types))))
        )
    for left in found.leftovers:
        table.add_row(Text(printable(left.path)), Text(left.trigger, "red"), Text(left.why))
    show(table)
    for about, why in found.notices.items():
        print(f"note: {printable(f'{about}: {why}')}")
