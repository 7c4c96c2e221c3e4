"""Carries out the orders that change where executions stand; others are their takers' own."""

from collections.abc import Iterator

from deriva_watch import retrying
from deriva_watch.core.events import OrderTaken
from deriva_watch.core.orders import Retry
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.ports import Emit
from deriva_watch.orders import Orders


def obey(orders: Orders, journal: Journal, emit: Emit) -> Iterator[ExecutionRecord]:
    """Carry out every such order that lies there; yield the executions to look at.

    Raises SettingsError where one cannot be read or removed.
    """
    for lying in orders.lying(emit, Retry):
        order = lying.order
        moved = retrying.carry_out(order, journal)
        rids = sorted({record.rid for record in moved})
        emit(OrderTaken(order=order.KIND, by=order.by, reason=order.reason, executions=rids))
        yield from moved
        lying.remove()
