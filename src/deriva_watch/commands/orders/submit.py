"""Gives the daemon an order, once it is sure that the order means something."""

import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deriva_watch.commands.orders import hold, retry
from deriva_watch.core.orders.orders import Cancel, Pause, Resume, Retry
from deriva_watch.edges.host.spool import Orders
from deriva_watch.edges.journal import open_readonly
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Given:
    """An order that was left.

    Attributes:
        rids: The executions that it is about; none where it is about everything.
        daemon: Who takes it within a second; None: the next one that starts.
    """

    rids: list[str]
    daemon: int | None


def give(settings: Settings, order: Retry | Cancel | Pause | Resume) -> Given:
    """Leave an order, unless it is to try everything again and that is nothing.

    Raises TroubleError where it means nothing, SettingsError where it cannot be left.
    """
    orders, reader = (
        Orders(settings.state_directory / "orders"),
        open_readonly(settings.journal.url),
    )
    more_lie = orders.are_there()
    if isinstance(order, Retry):
        found = retry.check(order, reader, more_lie=more_lie)
    else:
        found = hold.check(order, reader, _seen(settings), more_lie=more_lie)
    if found or not isinstance(order, Retry):
        orders.leave(order)
    return Given(sorted({record.rid for record in found}), reader.daemon())


def _seen(settings: Settings) -> hold.Seen:
    def seen(prefix: Path, rid: str) -> Iterable[str]:
        found = UnitReader.of(settings).look(settings.unit(prefix, rid))
        return found.entries if found else ()

    return seen


def asker() -> str:
    """Return the name of the user who gives a command, also through sudo."""
    number = os.geteuid()
    if number == 0 and (name := os.environ.get("SUDO_USER")):
        return name
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container knows no names
        return f"user {number}"
