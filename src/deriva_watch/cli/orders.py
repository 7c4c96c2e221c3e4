"""Shared by the commands that send the daemon an order."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deriva_watch.cli.app import print_json
from deriva_watch.core.prose import printable

if TYPE_CHECKING:
    from deriva_watch.core.orders.orders import Order

ReasonOption = Annotated[
    str | None,
    typer.Option(
        "--reason", metavar="TEXT", help="The reason; shown in the log, `status` and `show`."
    ),
]
PathsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH…", help="Files of that execution, with the paths that `show` prints."
    ),
]


RidArgument = Annotated[
    str | None, typer.Argument(metavar="RID", help="The execution; without it, all uploads.")
]


def now() -> str:
    """Return the time in the format of orders."""
    return datetime.now(UTC).isoformat()


def print_order(
    order: "Order", rids: list[str], daemon: int | None, text: str, *, as_json: bool
) -> None:
    """Print what was ordered and when it takes effect; people read *text*."""
    if as_json:
        when = "within a second" if daemon else "with the next run or upload"
        told: dict[str, Any] = order.document() | {"executions": rids, "daemon": daemon}
        print_json({"ordered": told.pop("kind"), **told, "when": when})
        return
    later = "" if daemon else " No daemon is running: the next `deriva-watch run` does this."
    print(printable(f"{text}{later}"))


def uploads_of(rid: str | None) -> str:
    """Return the subject of a pause, to begin a sentence with."""
    return f"Upload of {rid}" if rid else "Uploads"
