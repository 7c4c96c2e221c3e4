"""A plan as JSON and as a table; only `plan` imports it, other commands start faster without."""

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from deriva_watch.commands.dry_run import ONE_LOOK, ExpectedVerdict
from deriva_watch.commands.plan import Preview
from deriva_watch.core.plan.candidates import Leftover
from deriva_watch.core.plan.explain import Miss, misses, outlook
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.prose import counted, printable
from deriva_watch.core.states import FileTrigger
from deriva_watch.status import show


def document(found: Preview) -> dict[str, Any]:
    """Return the plan of a unit as JSON."""
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


def _asset(asset: AssetPlan, found: Preview) -> dict[str, Any]:
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


def _leftover(left: Leftover, found: Preview) -> dict[str, Any]:
    told = {"path": left.path, "because": left.trigger, "why": left.why, "next": left.next}
    return told | {"mappings": [asdict(miss) for miss in _misses(left, found)]}


def _misses(left: Leftover, found: Preview) -> list[Miss]:
    """Return how far each mapping matched, for a file that none matched."""
    unmatched = left.trigger is FileTrigger.UNMATCHED
    return misses(found.spec, f"{found.root}/{left.path}", found.root) if unmatched else []


def show_plan(found: Preview) -> None:
    """Print the plan of a unit as a table."""
    table = Table(title=found.label, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("file", "becomes", "with"):
        table.add_column(column, overflow="fold")
    for asset in found.plan.assets:
        cells = asset.path, f"a row of {asset.table} (mapping {asset.match.mapping.number})"
        table.add_row(*(Text(printable(cell)) for cell in (*cells, _text(asset, found))))
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


def _verdict(told: ExpectedVerdict) -> list[str]:
    """Return lines that say whether a directory is complete."""
    if told.is_complete:
        lines = [f"complete: {told.why}"]
    elif told.missing:
        lines = ["not complete:", *(f"  {why}" for why in told.missing)]
    else:
        lines = [f"refused: {told.why}"]
    known = f" In the journal it is {told.state}." if told.state else ""
    return [*map(printable, lines), f"  ({ONE_LOOK}.{known})"]


def _text(asset: AssetPlan, found: Preview) -> str:
    """Return the values, asset types and object name of a file."""
    coming = outlook(asset, found.root)
    row = coming.row if asset.by_templates else asset.values
    values = ", ".join(f"{name} = {value}" for name, value in row.items() if value is not None)
    types = f"types {', '.join(asset.types)}" if asset.types else ""
    stored = f"object {coming.object_name}" if coming.object_name else ""
    return "; ".join(filter(None, (values, types, stored)))


def _nearest(left: Leftover, found: Preview) -> str:
    """Return why a file is not uploaded, with the mapping that nearly matched.

    A drop folder has only one mapping, and the reason already says how far that one matches.
    """
    nearest = next(iter(_misses(left, found)), None)
    if found.is_dropped or nearest is None or not nearest.matched:
        return left.why
    upto = nearest.matched.removeprefix(found.root) or nearest.matched
    more = f"mapping {nearest.mapping} ({nearest.target}) is closest: its {nearest.key} matches"
    return f"{left.why}; {more} up to {upto} and then expects {nearest.wants}"
