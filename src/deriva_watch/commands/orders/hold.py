"""Checks and applies the orders `cancel`, `pause` and `resume`.

The journal decides in one transaction what happens to an execution; see `core.orders.holds`.
"""

from collections.abc import Callable, Iterable, Sequence
from shlex import quote
from typing import Final

from deriva_watch.commands.orders import lookup
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.orders.holds import Hold, HoldKind, is_cancelled
from deriva_watch.core.orders.orders import Cancel, Pause, Resume
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.states import UNDONE, ExecutionState, FileState
from deriva_watch.edges.journal import Journal, Reader

Held = Cancel | Pause | Resume
There = Callable[[ExecutionRecord], Iterable[str]]  # paths of the files that it has on the disk

_ENDED: Final = {ExecutionState.UPLOADED, ExecutionState.GONE}
_AT_REST: Final = _ENDED | {ExecutionState.REFUSED}
_CANCELLABLE: Final = UNDONE | {FileState.REFUSED}


def check(
    order: Held, reader: Reader, on_disk: There, *, others_wait: bool
) -> list[ExecutionRecord]:
    """Return the executions that *order* names and would hold or resume.

    Args:
        order: The order.
        reader: The journal.
        on_disk: Returns the files that are there, where the journal does not know them yet.
        others_wait: Other orders are applied first, so that the result cannot be known now.

    Raises:
        TroubleError: Nothing has that name, or there is nothing to hold or to resume.
    """
    if order.rid is None:
        if isinstance(order, Resume) and not others_wait and reader.paused() is None:
            then = "`deriva-watch status` shows which executions are paused."
            raise TroubleError("cannot resume uploads", "they are not paused", then)
        return []
    known = lookup.executions(reader, order.rid, order.KIND)
    wanted = known if others_wait else _wanted(order, known)
    if not wanted:
        raise _cannot(order, known)
    if isinstance(order, Cancel) and not others_wait:
        _check_files(order, reader, wanted, on_disk)
    return wanted


def carry_out(order: Held, journal: Journal) -> list[ExecutionRecord] | None:
    """Apply the order; return the executions as they were before.

    None: try again later. A worker has one of them, and must first learn of the cancelled file.
    """
    if order.rid is None:
        journal.pause(order.hold() if isinstance(order, Pause) else None)
        return []
    wanted = _wanted(order, journal.executions(rid=order.rid))
    done = [_carry_out(order, record, journal) for record in wanted]
    return wanted if all(done) else None


def _carry_out(order: Held, record: ExecutionRecord, journal: Journal) -> bool:
    match order:
        case Cancel(paths=paths) if paths:
            hold = order.hold()
            return all(journal.hold_file(record.id, path, hold) for path in paths)
        case Cancel() | Pause():
            journal.hold(record.id, order.hold())
        case Resume():
            journal.release(record.id, HoldKind.PAUSED)
    return True


def _wanted(order: Held, known: Iterable[ExecutionRecord]) -> list[ExecutionRecord]:
    """Return those of the executions with its name that the order changes."""
    match order:
        case Cancel():
            return [each for each in known if each.state not in _ENDED]
        case Pause():
            return [
                each for each in known if each.state not in _AT_REST and not is_cancelled(each.held)
            ]
        case Resume():
            return [each for each in known if each.held and not is_cancelled(each.held)]


def _cannot(order: Held, known: Sequence[ExecutionRecord]) -> TroubleError:
    hold = next((hold for each in known if (hold := Hold.of(each.held))), None)
    states = " and ".join(sorted({record.state.value for record in known}))
    why = f"it is {hold.sentence()['what'] if hold else states}"
    if isinstance(order, Resume):
        why = f"it is not paused; {why}"
    then = f"`deriva-watch show {quote(str(order.rid))}` shows more."
    return TroubleError(f"cannot {order.KIND} {order.rid}", why, then)


def _check_files(
    order: Cancel, reader: Reader, wanted: Sequence[ExecutionRecord], on_disk: There
) -> None:
    files = {file.path: file for record in wanted for file in reader.files(record.id)}
    unknown = [path for path in order.paths if path not in files]
    there = {path for record in wanted if unknown for path in on_disk(record)}
    for path in unknown:
        if path not in there:
            raise lookup.no_such_file(order.rid, path, files.keys() | there)
    for path in order.paths:
        if path in files and (state := files[path].state) not in _CANCELLABLE:
            raise TroubleError(
                f"cannot cancel {path} of {order.rid}",
                f"it is {state}: nothing is sent any more, and nothing in the catalog is undone",
                f"`deriva-watch show {quote(order.rid)}` shows more.",
            )
