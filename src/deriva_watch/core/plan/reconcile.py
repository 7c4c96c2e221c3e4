"""The changes of the journal that follow from a new plan; they are not applied here."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from deriva_watch.core.changes import AddFile, MoveFile
from deriva_watch.core.completeness.observation import Entry, Kind
from deriva_watch.core.errors import addressed
from deriva_watch.core.orders.holds import Hold
from deriva_watch.core.plan.candidates import Leftover
from deriva_watch.core.plan.plan import AssetPlan, Plan
from deriva_watch.core.plan.unused_types import unused_notices
from deriva_watch.core.records import FileFacts, FileRecord
from deriva_watch.core.removal.removal import removed_names
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.states import FILE_TRANSITIONS, UNDONE, FileState, FileTrigger, file_after

_LEFT: Final = {FileState.IGNORED, FileState.UNMATCHED, FileState.REFUSED}
_AWAY: Final = {FileState.GONE, FileState.REMOVED}
_LOSABLE: Final = _LEFT | UNDONE


def unremoved(plan: Plan, known: Mapping[str, FileRecord]) -> Plan:
    """Return *plan* without files that are missing because we removed them here."""
    names = removed_names(known.values())
    left = (each for each in plan.leftovers if each.entry or each.path not in names)
    unused = {
        table: tuple(each for each in files if f"assets/{table.table}/{each}" not in names)
        for table, files in plan.unused_types.items()
    }
    before = unused_notices(plan.unused_types)
    notices = {about: why for about, why in plan.notices.items() if about not in before}
    return replace(
        plan,
        leftovers=tuple(left),
        notices=notices | unused_notices(unused),
        unused_types=unused,
    )


def still_in_catalog(plan: Plan, known: Mapping[str, FileRecord]) -> Plan:
    """Return *plan* without files that are in the catalog and cannot be read here any more.

    A file that was replaced by a link to an archive, or that lost its rights, has not changed for
    the catalog. A notice says so.
    """
    kept = {
        left.path: f"it is in the catalog; it is not read here any more: {left.why}"
        for left in plan.leftovers
        if (record := known.get(left.path))
        and record.state is FileState.LINKED
        and left.entry
        and left.entry.kind is Kind.UNUSABLE
        and (left.entry.link or left.entry.stamp == record.stamp)
    }
    left = tuple(each for each in plan.leftovers if each.path not in kept)
    return replace(plan, leftovers=left, notices={**plan.notices, **kept})


def additions(execution_id: int, plan: Plan, known: Mapping[str, FileRecord]) -> list[AddFile]:
    """Return the files of *plan* that the journal does not know."""
    wanted: list[tuple[str, Entry | None, str | None]] = [
        *((each.path, each.entry, str(each.table)) for each in plan.work),
        *((left.path, left.entry, None) for left in plan.leftovers),
    ]
    return [
        AddFile(execution_id, path, {**_stamp(entry), "table": table})
        for path, entry, table in wanted
        if path not in known
    ]


def moves(
    plan: Plan, known: Mapping[str, FileRecord], rid: str, *, requested: bool = False
) -> list[MoveFile]:
    """Return the moves that bring every known file to the state in which *plan* starts with it.

    A file with unchanged content and metadata keeps its state; a changed one goes back to `found`;
    one that is left over is ignored, unmatched or refused, once; one that does not exist any more
    is gone, unless the catalog has it.

    If a person *requested* on the upload, a file whose `ctime_ns` alone moved is read again too.
    """
    made: list[MoveFile] = []
    planned = set()
    for each in plan.work:
        planned.add(each.path)
        made += _for_planned(each, known[each.path], rid, requested=requested)
    for left in plan.leftovers:
        planned.add(left.path)
        made += _for_leftover(left, known[left.path], rid)
    for path, record in known.items():
        if path not in planned and record.state in _LOSABLE:
            # No row has its version: another file with the same content may take that.
            made.append(MoveFile(record.id, FileTrigger.VANISHED, {"url": None}))
    return made


def _for_planned(
    planned: AssetPlan | RowsPlan, record: FileRecord, rid: str, *, requested: bool
) -> Iterator[MoveFile]:
    if hold := Hold.of(record.held):  # even if the file changed
        yield from _for_cancelled(record, hold, rid)
        return
    if record.state is FileState.FOUND:
        return
    same = record.stamp == planned.entry.stamp and record.statement == planned.statement()
    same &= not (requested and record.ctime_ns not in {None, planned.entry.ctime_ns})
    if record.state in _LEFT | _AWAY or not same:
        facts: FileFacts = {**_stamp(planned.entry), "table": str(planned.table), "removal": None}
        yield MoveFile(record.id, _back(record.state), facts)


def _for_cancelled(record: FileRecord, hold: Hold, rid: str) -> Iterator[MoveFile]:
    if record.state is FileState.REFUSED:
        return
    if record.state not in UNDONE:
        yield MoveFile(record.id, _back(record.state))
    facts: FileFacts = {}
    said = hold.sentence(rid, record.path)
    yield MoveFile(record.id, FileTrigger.REFUSED, {**facts, **said})


def _for_leftover(left: Leftover, record: FileRecord, rid: str) -> Iterator[MoveFile]:
    target = file_after(FileState.FOUND, left.trigger)
    if record.state is target and record.why == left.why:
        return
    if record.state is not FileState.FOUND:
        yield MoveFile(record.id, _back(record.state), _stamp(left.entry))
    facts: FileFacts = {"what": left.what, "why": left.why, "next": addressed(left.next, rid)}
    yield MoveFile(record.id, left.trigger, facts)


def _back(state: FileState) -> FileTrigger:
    """Return the trigger that leads from *state* back to `found`."""
    return next(t for t, to in FILE_TRANSITIONS[state].items() if to is FileState.FOUND)


def _stamp(entry: Entry | None) -> FileFacts:
    if entry is None:
        return {}
    return {
        "size_bytes": entry.size_bytes,
        "mtime_ns": entry.mtime_ns,
        "device": entry.device,
        "inode": entry.inode,
    }
