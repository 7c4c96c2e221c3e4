"""What the commands that give the daemon an order have in common."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from deriva_watch.cli.app import print_json
from deriva_watch.core.orders.orders import Order
from deriva_watch.core.prose import printable

ReasonOption = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why; it is kept, and told with what is held."),
]
PathsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH…", help="Files of it, by their paths in `show`."),
]


RidArgument = Annotated[
    str | None, typer.Argument(metavar="RID", help="The execution; without it all work.")
]


def now() -> str:
    """Return the time as orders have it."""
    return datetime.now(UTC).isoformat()


def tell(order: Order, rids: list[str], daemon: int | None, text: str, *, as_json: bool) -> None:
    """Tell what was ordered, and when it is carried out; *text* says it to people."""
    if as_json:
        when = "within a second" if daemon else "with the next run or upload"
        told: dict[str, Any] = order.document() | {"executions": rids, "daemon": daemon}
        print_json({"ordered": told.pop("kind"), **told, "when": when})
        return
    when = "Within a second" if daemon else "No daemon runs: with the next `deriva-watch run`"
    print(printable(f"{when}, {text}"))


def work_on(rid: str | None) -> str:
    """Return what a pause is about."""
    return f"work on {rid}" if rid else "all work"
