"""Checks and applies the order `retry`."""

from collections.abc import Sequence
from shlex import quote

from deriva_watch.commands.orders import lookup
from deriva_watch.core.changes import MoveExecution, MoveFile, NoteExecution
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.orders.holds import Hold, HoldKind, is_cancelled
from deriva_watch.core.orders.orders import Retry
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord
from deriva_watch.core.states import (
    EXECUTION_TRANSITIONS,
    ExecutionState,
    ExecutionTrigger,
    FileState,
    FileTrigger,
)
from deriva_watch.edges.journal import Journal, Reader


def check(order: Retry, reader: Reader, *, others_wait: bool = False) -> list[ExecutionRecord]:
    """Return the executions that *order* would move now.

    Args:
        order: The order.
        reader: The journal.
        others_wait: Other orders are applied first, so that the result cannot be known now.

    Raises:
        TroubleError: The execution, or a file of it, cannot be tried again.
    """
    if order.rid is None:
        return _wanted(order, reader)
    known = lookup.executions(reader, order.rid, "try again")
    wanted = known if others_wait else _wanted(order, reader)
    if not wanted:
        raise _cannot(order.rid, known)
    if not others_wait:
        _check_files(order, reader, wanted)
    return wanted


def carry_out(order: Retry, journal: Journal) -> list[ExecutionRecord] | None:
    """Apply the order; return the executions as they were before.

    None: try again later. A worker has one of them, and must first refuse the files.
    """
    wanted = _wanted(order, journal)
    if order.paths and any(each.state is ExecutionState.UPLOADING for each in wanted):
        return None
    for record in wanted:
        for path in order.paths:
            journal.release_file(record.id, path)
        facts: ExecutionFacts = {
            "attempts": 0,
            "next_at": None,
            "verdict": {**(record.verdict or {}), "requested": True},
            "ours": record.ours or order.this_catalog,
            "differs": None,  # what is left of it is found again
            "verified_at": None,
        }
        known = {file.path: file for file in journal.files(record.id)} if order.paths else {}
        again = [
            MoveFile(known[path].id, FileTrigger.RECONSIDERED)
            for path in order.paths
            if path in known and known[path].state is FileState.LINKED
        ]
        if is_cancelled(record.held):
            journal.release(record.id, HoldKind.CANCELLED, facts)
        elif _may_retry(record):
            moved = MoveExecution(record.id, ExecutionTrigger.RETRIED)
            journal.commit([moved, *again, NoteExecution(record.id, facts)])
    return wanted


def _wanted(order: Retry, journal: Journal | Reader) -> list[ExecutionRecord]:
    """Return the executions to move: with `--all` none that is held; a pause is not ended."""
    found = journal.executions(rid=order.rid)
    if order.rid is None:
        return [each for each in found if each.why and _may_retry(each)]
    if order.paths:
        return [each for each in found if each.state is not ExecutionState.GONE]
    return [each for each in found if _may_retry(each) or is_cancelled(each.held)]


def _may_retry(record: ExecutionRecord) -> bool:
    return not record.held and ExecutionTrigger.RETRIED in EXECUTION_TRANSITIONS[record.state]


def _cannot(rid: str, known: Sequence[ExecutionRecord]) -> TroubleError:
    """Return why none of the executions with that name can be tried again."""
    what = f"cannot try {rid} again"
    for record in known:
        if hold := Hold.of(record.held):
            said = hold.sentence(rid)
            return TroubleError(what, f"it is {said['what']}: {said['why']}", said["next"])
    states = " and ".join(sorted({record.state.value for record in known}))
    then = f"`deriva-watch show {quote(rid)}` shows what it waits for."
    return TroubleError(what, f"it is {states}", then)


def _check_files(order: Retry, reader: Reader, wanted: Sequence[ExecutionRecord]) -> None:
    files = {file.path: file for record in wanted for file in reader.files(record.id)}
    for path in order.paths:
        if path not in files:
            raise lookup.no_such_file(str(order.rid), path, files)
        file = files[path]
        # Of a linked file the server may have lost the object or the row.
        if not (file.held or file.state in {FileState.REFUSED, FileState.LINKED}):
            raise TroubleError(
                f"cannot try {path} of {order.rid} again",
                f"it is {file.state}, not refused and not in the catalog",
                f"`deriva-watch retry {quote(str(order.rid))}` tries all of it.",
            )
