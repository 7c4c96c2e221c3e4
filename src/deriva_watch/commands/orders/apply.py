"""Applies the orders that change the states of executions (`reclaim` is applied in `cleanup`)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from deriva_watch.commands.orders import hold, retry
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.events import Emit, OrderApplied
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.orders.orders import Cancel, Pause, Resume, Retry
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.host.spool import Orders
from deriva_watch.edges.journal import Journal
from deriva_watch.pipeline.crash_report import report_crash
from deriva_watch.pipeline.hold_cache import HoldCache

_OURSELVES: Final = "deriva-watch"
_OVER: Final = "the time of the pause is over"
_Ours = Retry | Cancel | Pause | Resume
_KINDS: Final[tuple[type[_Ours], ...]] = (Retry, Cancel, Pause, Resume)


def apply_orders(
    orders: Orders, journal: Journal, holds: HoldCache, emit: Emit
) -> Iterator[ExecutionRecord]:
    """Apply every such order that waits; yield the executions to look at.

    An order that cannot be applied yet waits for the next call.

    Raises SettingsError where one cannot be read or removed.
    """
    for pending in orders.pending(emit, *_KINDS):
        try:
            moved = _carry_out(pending.order, journal)
        except (TroubleError, OSError):
            raise
        except Exception:  # noqa: BLE001  # an order that meets a bug must not fail every start
            report_crash(emit, f"the order {pending.path}")
            orders.set_aside(pending.path, "it cannot be applied: a bug", emit)
            continue
        holds.reload()
        if moved is None:
            continue
        _report(pending.order, moved, emit)
        yield from moved
        pending.remove()
    yield from _resume(journal, holds, emit)


def _carry_out(order: _Ours, journal: Journal) -> list[ExecutionRecord] | None:
    if isinstance(order, Retry):
        return retry.carry_out(order, journal)
    return hold.carry_out(order, journal)


def _resume(journal: Journal, holds: HoldCache, emit: Emit) -> Iterator[ExecutionRecord]:
    """End the pauses whose time is over."""
    if _is_over(holds.pause):
        journal.pause(None)
        holds.reload()
        _report(Resume(rid=None, by=_OURSELVES, reason=_OVER), [], emit)
    for record in [each for each in holds.held if _is_over(Hold.of(each.held))]:
        journal.release(record.id, HoldKind.PAUSED)
        holds.reload()
        _report(Resume(rid=record.rid, by=_OURSELVES, reason=_OVER), [record], emit)
        yield record


def _is_over(hold: Hold | None) -> bool:
    return hold is not None and hold.until is not None and hold.until <= datetime.now(UTC)


def _report(order: _Ours, moved: list[ExecutionRecord], emit: Emit) -> None:
    paths = order.paths if isinstance(order, Retry | Cancel) else ()
    emit(
        OrderApplied(
            order=order.KIND,
            by=order.by,
            reason=order.reason,
            about=order.rid,
            paths=list(paths) or None,
            executions=sorted({record.rid for record in moved}),
        )
    )
