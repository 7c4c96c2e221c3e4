"""Tries again, because a person orders it."""

from shlex import quote

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.orders import Retry
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord, MoveExecution, NoteExecution
from deriva_watch.core.states import EXECUTION_TRANSITIONS, ExecutionTrigger
from deriva_watch.edges.journal import Journal, Reader


def check(order: Retry, reader: Reader) -> list[ExecutionRecord]:
    """Return the executions that it would move now.

    Raises TroubleError where the one that it names cannot be tried again.
    """
    wanted = _wanted(order, reader)
    if wanted or order.rid is None:
        return wanted
    known = reader.executions(rid=order.rid)
    states = " and ".join(sorted({record.state.value for record in known}))
    why = f"it is {states}" if known else f"the journal {reader.path} has no such execution"
    raise TroubleError(
        f"cannot try {order.rid} again",
        why,
        f"`deriva-watch show {quote(order.rid)}` tells what it waits for."
        if known
        else "`deriva-watch status` lists what is refused or waits.",
    )


def carry_out(order: Retry, journal: Journal) -> list[ExecutionRecord]:
    """Move what is asked for; return the executions as they were before."""
    wanted = _wanted(order, journal)
    for record in wanted:
        facts: ExecutionFacts = {
            "attempts": 0,
            "next_at": None,
            "verdict": {**(record.verdict or {}), "insisted": True},
            "ours": record.ours or order.this_catalog,
        }
        journal.commit(
            [
                MoveExecution(record.id, ExecutionTrigger.RETRIED),
                NoteExecution(record.id, facts),
            ]
        )
    return wanted


def _wanted(order: Retry, journal: Journal | Reader) -> list[ExecutionRecord]:
    return [
        record
        for record in journal.executions(rid=order.rid)
        if ExecutionTrigger.RETRIED in EXECUTION_TRANSITIONS[record.state]
        and (order.rid or record.why)
    ]
