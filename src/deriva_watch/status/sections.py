"""The lists of `summary`, such as what is being uploaded or refused, and the oldest proof."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from deriva_watch.core.orders import holds
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.removal.reverification import proof_said
from deriva_watch.core.states import SAFE, UNDONE, ExecutionState, FileState
from deriva_watch.core.stats.throughput import WINDOW_S, job_bytes, job_sent, rate_bytes_per_s
from deriva_watch.edges.journal import Reader
from deriva_watch.edges.journal.status_queries import Amount, Total
from deriva_watch.status.json_values import plain, some
from deriva_watch.status.renamed import Renamed

MOST: Final = 100  # entries of a list; `<name>_more` counts the others
_RECENT: Final = 20
_CURRENT: Final = 4  # files of one execution
_EXAMPLES: Final = 3

_SENT: Final = {FileState.STORED, FileState.RECORDED}
_ON_THEIR_WAY: Final = {ExecutionState.READY, ExecutionState.UPLOADING}

_WHO: Final = ("rid", "prefix")
_SENTENCE: Final = ("what", "why", "next")
_REFUSED: Final = (*_WHO, "changed_at", *_SENTENCE)
_WAITING: Final = (*_WHO, "next_at", "attempts", *_SENTENCE)


def sections(
    reader: Reader,
    counts: Mapping[ExecutionState, int],
    now: datetime,
    renamed: Renamed,
) -> dict[str, Any]:
    """Return the lists of `summary`.

    A list has at most MOST entries; if there are more, `<name>_more` says how many.

    Args:
        reader: The journal.
        counts: Number of executions by state.
        now: The time for rates and remaining times.
        renamed: Units whose files another unit has now.
    """
    going = sum(counts.get(state, 0) for state in _ON_THEIR_WAY)
    unmatched = reader.executions_having(FileState.UNMATCHED, MOST + 1)
    return {
        "bytes": _bytes(reader.totals(), renamed),
        **_cut("in_flight", list(_in_flight(reader, now)), going),
        **_cut("filling", list(_filling(reader)), counts.get(ExecutionState.FILLING, 0)),
        **_cut("refused", list(_refused(reader)), counts.get(ExecutionState.REFUSED, 0)),
        **_cut(
            "waiting",
            [some(each, _WAITING) for each in _some_in(reader, {ExecutionState.WAITING})],
            counts.get(ExecutionState.WAITING, 0),
        ),
        **_cut(
            "unmatched",
            [_unmatched(reader, each, amount) for each, amount in _with(reader, unmatched[:MOST])],
            reader.count_executions_having(FileState.UNMATCHED),
        ),
        **_cut(
            "differing",
            [{**some(each, _WHO), **plain(each.differs)} for each in reader.differing(MOST)],
            reader.count_differing(),
        ),
        "recent": list(_recent(reader, renamed)),
    }


def is_cancelled(execution: ExecutionRecord) -> bool:
    """Return whether an execution was cancelled by a person: it needs no attention."""
    return execution.state is ExecutionState.REFUSED and holds.is_cancelled(execution.held)


def paused(reader: Reader, held: Iterable[ExecutionRecord]) -> dict[str, Any]:
    """Return the pauses: of all uploads ("host") first, then of the executions in *held*."""
    everything = reader.paused()
    found = [_pause("host", None, everything)] if everything else []
    for each in held:
        hold = Hold.of(each.held)
        if hold and hold.kind is HoldKind.PAUSED:
            found.append(_pause(each.rid, each.prefix, hold))
    return _cut("paused", found[:MOST], len(found))


def _pause(about: str, prefix: str | None, hold: Hold) -> dict[str, Any]:
    said = hold.sentence(*([about] if prefix else []))
    facts = {"prefix": prefix, "since": hold.since, "until": hold.until, "by": hold.by}
    return {"about": about, **plain(facts), **plain(dict(said))}


def oldest_proof(reader: Reader) -> dict[str, Any] | None:
    """Return the oldest proof that something is on the server: of what, when, and what it proved.

    None: nothing was uploaded yet.
    """
    oldest = reader.oldest_proof()
    if oldest is None or oldest.proof is None:
        return None
    said = {"by": oldest.proof["by"], "proved": proof_said(oldest.proof)}
    return {**some(oldest, _WHO), "at": plain(oldest.proved_at), **said}


def _cut(name: str, entries: list[Any], count: int) -> dict[str, Any]:
    more = count - len(entries)
    return {name: entries, **({f"{name}_more": more} if more > 0 else {})}


def _some_in(reader: Reader, states: set[ExecutionState]) -> list[ExecutionRecord]:
    return reader.executions(states, limit=MOST)


def _bytes(totals: Iterable[Total], renamed: Renamed) -> dict[str, int]:
    """Return how many bytes are in the catalog, and how many are still to be uploaded."""
    listed = list(totals)
    return {
        "safe": sum(each.bytes for each in listed if each.file in SAFE) - renamed.safe_bytes,
        "pending": backlog(listed).bytes,
    }


def _in_flight(reader: Reader, now: datetime) -> Iterator[dict[str, Any]]:
    going = reader.executions({ExecutionState.UPLOADING}, limit=MOST)
    going += reader.executions({ExecutionState.READY}, limit=MOST - len(going))
    if not going:
        return
    jobs: defaultdict[int, list[FileRecord]] = defaultdict(list)
    for file in reader.open_jobs():
        jobs[file.execution_id].append(file)
    sent = reader.sent_since(now - timedelta(seconds=WINDOW_S))
    for execution, amounts in _with(reader, going):
        progress = _progress(amounts, jobs[execution.id])
        lately = [*sent.get(execution.id, ()), *_sent_by(jobs[execution.id], now)]
        rate = rate_bytes_per_s(lately, execution.changed_at, now)
        left = progress["bytes"] - progress["bytes_done"]
        yield {
            **some(execution, (*_WHO, "label", "state")),
            **progress,
            "since": plain(execution.changed_at),
            "rate_bytes_per_s": rate,
            "eta_s": left / rate if rate else None,
            "current": [_current(file) for file in jobs[execution.id][:_CURRENT]],
        }


def _progress(amounts: Mapping[FileState, Amount], jobs: Iterable[FileRecord]) -> dict[str, int]:
    """Return the numbers of files and bytes, and how many of them are done.

    A file is done when it is in the catalog; bytes are done when they are sent.
    """
    done = [amount for state, amount in amounts.items() if state in SAFE]
    sent = [amount for state, amount in amounts.items() if state in _SENT]
    left = [amount for state, amount in amounts.items() if state in PENDING - _SENT]
    of_jobs = sum(job_bytes(file.job) for file in jobs if file.job)
    return {
        "files": sum(amount.files for amount in (*done, *sent, *left)),
        "files_done": sum(amount.files for amount in done),
        "bytes": sum(amount.bytes for amount in (*done, *sent, *left)),
        "bytes_done": sum(amount.bytes for amount in (*done, *sent)) + of_jobs,
    }


def _sent_by(jobs: Iterable[FileRecord], now: datetime) -> Iterator[Any]:
    for file in jobs:
        if file.job and (sent := job_sent(file.job, now)):
            yield sent


def _current(file: FileRecord) -> dict[str, Any]:
    job = file.job or {}
    return {"path": plain(file.path), "bytes": job["size_bytes"], "bytes_done": job_bytes(job)}


def _filling(reader: Reader) -> Iterator[dict[str, Any]]:
    for execution in _some_in(reader, {ExecutionState.FILLING}):
        verdict = execution.verdict or {}
        known = "files" in verdict and "size_bytes" in verdict
        so_far = {"files": verdict["files"], "bytes": verdict["size_bytes"]} if known else {}
        yield {**some(execution, (*_WHO, "next_at")), "why": plain(verdict.get("why")), **so_far}


def _refused(reader: Reader) -> Iterator[dict[str, Any]]:
    for execution, amounts in _with(reader, _some_in(reader, {ExecutionState.REFUSED})):
        files = amounts.get(FileState.REFUSED, Amount()).files
        examples = reader.examples(execution.id, FileState.REFUSED, _EXAMPLES) if files else []
        yield {
            **some(execution, _REFUSED),
            "files": files,
            "examples": [some(file, ("path", *_SENTENCE)) for file in examples],
            "cancelled": is_cancelled(execution),
        }


def _unmatched(
    reader: Reader, execution: ExecutionRecord, amounts: Mapping[FileState, Amount]
) -> dict[str, Any]:
    examples = reader.examples(execution.id, FileState.UNMATCHED, _EXAMPLES)
    return {
        **some(execution, _WHO),
        "cancelled": is_cancelled(execution),
        "files": amounts.get(FileState.UNMATCHED, Amount()).files,
        "examples": [some(file, ("path", "why")) for file in examples],
    }


def _recent(reader: Reader, renamed: Renamed) -> Iterator[dict[str, Any]]:
    """Return the executions that were uploaded last, each once, the newest first."""
    latest = reader.endings({ExecutionState.UPLOADED}, limit=_RECENT)
    ended = [each for each in latest if each.execution.id not in renamed.units]
    at: dict[int, datetime] = {}
    for each in ended:
        at.setdefault(each.execution.id, each.line.at)
    executions = {each.execution.id: each.execution for each in ended}
    for execution, amounts in _with(reader, executions.values()):
        safe = [amount for state, amount in amounts.items() if state in SAFE]
        yield {
            **some(execution, _WHO),
            "at": plain(at[execution.id]),
            "files": sum(amount.files for amount in safe),
            "bytes": sum(amount.bytes for amount in safe),
        }


def _with(
    reader: Reader, executions: Iterable[ExecutionRecord]
) -> Iterator[tuple[ExecutionRecord, Mapping[FileState, Amount]]]:
    """Yield executions with the amounts of their files by state."""
    listed = list(executions)
    amounts = reader.amounts(execution.id for execution in listed)
    for execution in listed:
        yield execution, amounts.get(execution.id, {})


PENDING: Final = UNDONE | {FileState.RECORDED}


def backlog(totals: Iterable[Total]) -> Amount:
    """Return the number of pending files and their bytes, without executions that are gone."""
    there = [each for each in totals if each.execution is not ExecutionState.GONE]
    pending = [each for each in there if each.file in PENDING]
    return Amount(sum(each.files for each in pending), sum(each.bytes for each in pending))
