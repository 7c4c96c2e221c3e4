"""`deriva-watch plan PATH…`: what would be uploaded where, and what would not."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.layout import LOOSE
from deriva_watch.core.plan.candidates import Leftover
from deriva_watch.core.plan.explain import Miss, misses, outlook
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.prose import counted, printable
from deriva_watch.core.states import FileTrigger

if TYPE_CHECKING:
    from deriva_watch.commands.dry_run import ExpectedVerdict
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
    from deriva_watch.commands.plan import previewing
    from deriva_watch.commands.targets import units_at
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
        print_json({rid: _document(found) for rid, found in plans.items()} | told)
    else:
        for found in plans.values():
            _print(found)
        for trouble in refused.values():
            print(*map(printable, (trouble.what, trouble.why, trouble.next)), sep="\n  ")
    if refused:
        raise typer.Exit(Exit.REFUSED)
    matched = any(found.plan.work for found in plans.values())
    raise typer.Exit(Exit.DONE if matched else Exit.NOTHING_MATCHED)


def _document(found: "Preview") -> dict[str, Any]:
    from deriva_watch.commands.dry_run import ONE_LOOK

    return {
        "assets": [_asset(asset, found) for asset in found.plan.assets],
        "rows": [
            {"path": each.path, "table": str(each.table), **asdict(found.rows[each.path])}
            for each in found.plan.rows
        ],
        "left": [_leftover(left, found) for left in found.plan.leftovers],
        "notices": found.plan.notices,
        "verdict": {**asdict(found.verdict), "told": ONE_LOOK},
    }


def _asset(asset: AssetPlan, found: "Preview") -> dict[str, Any]:
    coming = outlook(asset, found.root)
    return {
        "path": asset.path,
        "links": list(asset.also),
        "size_bytes": asset.entry.size_bytes,
        "table": str(asset.table),
        "mapping": asset.match.mapping.number,
        "groups": asset.match.groups,
        "object": coming.object_name,
        "row": coming.row,
        "values": asset.values,
        "order": "inferred" if asset.order else None,
        "types": list(asset.types),
        "description": asset.description,
        "rid": asset.given_rid,
    }


def _leftover(left: Leftover, found: "Preview") -> dict[str, Any]:
    told = {"path": left.path, "because": left.trigger, "why": left.why, "next": left.next}
    return told | {"mappings": [asdict(miss) for miss in _misses(left, found)]}


def _misses(left: Leftover, found: "Preview") -> list[Miss]:
    """Return how far each mapping matched, for a file that none matched."""
    unmatched = left.trigger is FileTrigger.UNMATCHED
    return misses(found.spec, f"{found.root}/{left.path}", found.root) if unmatched else []


def _print(found: "Preview") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from deriva_watch.status import show

    table = Table(title=found.label, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("file", "becomes", "with"):
        table.add_column(column, overflow="fold")
    for asset in found.plan.assets:
        cells = asset.path, f"a row of {asset.table} (mapping {asset.match.mapping.number})"
        table.add_row(*(Text(printable(cell)) for cell in (*cells, _said(asset, found))))
    for each in found.plan.rows:
        told = found.rows[each.path]
        cells = each.path, f"{told.rows} {'row' if told.rows == 1 else 'rows'} of {each.table}"
        style = "red" if told.problem else None
        why = (
            f"{counted(told.bad, 'row')} cannot be written: {told.problem}"
            if told.bad
            else told.problem or ""
        )
        table.add_row(*(Text(printable(cell)) for cell in (*cells, why)), style=style)
    for left in found.plan.leftovers:
        cells = left.path, str(left.trigger)
        said = _nearest(left, found)
        table.add_row(*(Text(printable(cell)) for cell in (*cells, said)), style="red")
    show(table)
    for about, why in found.plan.notices.items():
        print(f"note: {printable(f'{about}: {why}')}")
    print(*_verdict(found.verdict), sep="\n")


def _verdict(told: "ExpectedVerdict") -> list[str]:
    """Return lines that say whether a directory is complete."""
    from deriva_watch.commands.dry_run import ONE_LOOK

    if told.is_complete:
        lines = [f"complete: {told.why}"]
    elif told.missing:
        lines = ["not complete:", *(f"  {why}" for why in told.missing)]
    else:
        lines = [f"refused: {told.why}"]
    known = f" In the journal it is {told.state}." if told.state else ""
    return [*map(printable, lines), f"  ({ONE_LOOK}.{known})"]


def _said(asset: AssetPlan, found: "Preview") -> str:
    """Return the values, asset types and object name of a file."""
    coming = outlook(asset, found.root)
    row = coming.row if asset.by_templates else asset.values
    values = ", ".join(f"{name} = {value}" for name, value in row.items() if value is not None)
    types = f"types {', '.join(asset.types)}" if asset.types else ""
    stored = f"object {coming.object_name}" if coming.object_name else ""
    return "; ".join(filter(None, (values, types, stored)))


def _nearest(left: Leftover, found: "Preview") -> str:
    """Return why a file is not uploaded, with the mapping that nearly matched.

    A drop folder has only one mapping, and the reason already says how far that one matches.
    """
    nearest = next(iter(_misses(left, found)), None)
    if found.is_dropped or nearest is None or not nearest.matched:
        return left.why
    upto = nearest.matched.removeprefix(found.root) or nearest.matched
    more = f"mapping {nearest.mapping} ({nearest.target}) is closest: its {nearest.key} matches"
    return f"{left.why}; {more} up to {upto} and then expects {nearest.wants}"
