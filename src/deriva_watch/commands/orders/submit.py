"""Leaves an order for the daemon, after checking that it can have an effect."""

import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass

from deriva_watch.commands.orders import hold, retry
from deriva_watch.core.orders.orders import Cancel, Pause, Resume, Retry
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.host.spool import Orders
from deriva_watch.edges.journal import Reader, open_readonly
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Given:
    """An order that was left.

    Attributes:
        rids: The executions that it names; none where it is for all.
        daemon: PID of the daemon that applies it within a second; None: the next one does.
    """

    rids: list[str]
    daemon: int | None


def give(settings: Settings, order: Retry | Cancel | Pause | Resume) -> Given:
    """Leave an order, except `retry --all` when there is nothing to try again.

    Raises TroubleError where it would have no effect, SettingsError where it cannot be left.
    """
    orders = Orders(settings.state_directory / "orders")
    reader = open_readonly(settings.journal.url)
    others_wait = orders.are_there()
    if isinstance(order, Retry):
        found = retry.check(order, reader, others_wait=others_wait)
    else:
        found = hold.check(order, reader, _there(settings, reader), others_wait=others_wait)
    if found or not isinstance(order, Retry):
        orders.leave(order)
    return Given(sorted({record.rid for record in found}), reader.daemon())


def _there(settings: Settings, reader: Reader) -> hold.There:
    unit_reader = UnitReader.of(settings, reader)

    def there(record: ExecutionRecord) -> Iterable[str]:
        found = unit_reader.look(settings.unit_of(record))
        return found.entries if found else ()

    return there


def asker() -> str:
    """Return the name of the user who gives a command, also through sudo."""
    number = os.geteuid()
    if number == 0 and (name := os.environ.get("SUDO_USER")):
        return name
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # in a container without user names
        return f"user {number}"
