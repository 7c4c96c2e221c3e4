"""Gives the daemon an order, once it is sure that the order means something."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deriva_watch import holding, retrying
from deriva_watch.core.orders import Cancel, Pause, Resume, Retry
from deriva_watch.edges.journal import open_readonly
from deriva_watch.intake import Intake
from deriva_watch.orders import Orders
from deriva_watch.settings import Settings


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
    orders, reader = Orders.of(settings), open_readonly(settings.journal.url)
    more_lie = orders.are_there()
    if isinstance(order, Retry):
        found = retrying.check(order, reader, more_lie=more_lie)
    else:
        found = holding.check(order, reader, _seen(settings), more_lie=more_lie)
    if found or not isinstance(order, Retry):
        orders.leave(order)
    return Given(sorted({record.rid for record in found}), reader.daemon())


def _seen(settings: Settings) -> holding.Seen:
    def seen(prefix: Path, rid: str) -> Iterable[str]:
        found = Intake.of(settings).look(prefix, rid)
        return found.entries if found else ()

    return seen
