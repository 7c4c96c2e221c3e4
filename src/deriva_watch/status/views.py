r"""Views of the journal as JSON values. Fields are only ever added.

Bytes of names that are not UTF-8 are escaped (`\udcff`); times are ISO 8601 in UTC.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Any, Final

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.prose import nearest
from deriva_watch.core.records import ExecutionRecord, FileRecord, HistoryRecord, shown_fields
from deriva_watch.core.removal.reverification import proof_said
from deriva_watch.core.states import SAFE, ExecutionState, FileState
from deriva_watch.edges.disk.receipts import kept_as, read_receipt
from deriva_watch.edges.host.problems import read as read_problems
from deriva_watch.edges.journal import Reader
from deriva_watch.edges.journal.problems import replaced
from deriva_watch.status.headline import headline, stops_daemon
from deriva_watch.status.json_values import plain, some
from deriva_watch.status.renamed import Renamed
from deriva_watch.status.sections import is_cancelled, oldest_proof, paused, sections

_SENTENCE: Final = ("what", "why", "next")
_EXECUTION: Final = shown_fields(ExecutionRecord)
_FILE: Final = shown_fields(FileRecord)
_HISTORY: Final = shown_fields(HistoryRecord)


def summary(reader: Reader, now: datetime) -> dict[str, Any]:
    """Return the state of everything at *now*.

    `oldest_pending_s` is the age of the oldest execution that is complete and not uploaded, in
    seconds; 0 if there is none. `problems` are what the daemon waits for, such as the server.
    Those of scope "folder" stop nothing else. `healthy` is about the daemon alone: it is false if
    none runs or it cannot work (a problem of scope "daemon"); `reasons` says why. `attention`
    counts what needs a person: executions that are refused, have unmatched files or differ on the
    server, each once, and problems of folders. `oldest_proof` tells when and how it was last proved
    that the server has everything. `verdict` sums it up, see `headline`; the lists are those of
    `sections`.
    """
    counts, since, pid = reader.execution_counts(), reader.pending_since(), reader.daemon()
    pending_s = (now - since).total_seconds() if since else 0.0
    problems = plain(read_problems(reader.path.parent, pid))
    held = reader.held()
    cancelled = {each.id for each in held if is_cancelled(each)}
    reasons, renamed = list(_reasons(pid, problems)), Renamed.of(reader)
    files = Counter(reader.file_counts())
    files.subtract(renamed.files)
    found: dict[str, Any] = {
        "at": plain(now),
        "server": ", ".join(reader.servers()) or None,
        "healthy": not reasons,
        "reasons": reasons,
        "journal": plain(str(reader.path)),
        "daemon": pid,
        "problems": problems,
        "executions": _counted(ExecutionState, counts),
        "files": _counted(FileState, files),
        "oldest_pending_s": pending_s,
        **sections(reader, counts, now, renamed),
        "oldest_proof": oldest_proof(reader),
        "notices": plain(list(_journals_before(reader))),
        **paused(reader, held),
        "cancelled": len(cancelled),
        "attention": {
            "executions": reader.count_attention(cancelled),
            "folders": sum(not stops_daemon(each) for each in problems),
        },
    }
    safe_units = reader.count_executions_with(SAFE) - renamed.safe_units
    found["verdict"] = headline(found, sum(files[state] for state in SAFE), safe_units)
    return found


def _reasons(pid: int | None, problems: Iterable[Mapping[str, str]]) -> Iterator[Mapping[str, str]]:
    """Yield every reason why the daemon cannot work."""
    if pid is None:
        yield {
            "about": "the daemon",
            "what": "no daemon is running",
            "why": "none has the journal open",
            "next": "Start one with `deriva-watch run`.",
        }
    for each in filter(stops_daemon, problems):
        yield {name: each[name] for name in ("about", *_SENTENCE)}


def _journals_before(reader: Reader) -> Iterator[dict[str, Any]]:
    """Yield a notice for every damaged journal that was set aside and is still there."""
    for each in reader.damaged_journals():
        if Path(each.path).exists():
            said = replaced(reader.path, each)
            sentence = {"what": said.what, "why": said.why, "next": said.next}
            yield {"about": "the journal", "at": each.at, "path": each.path, **sentence}


def executions_of(reader: Reader, rid: str) -> list[ExecutionRecord]:
    """Return the executions of that name: one for each prefix and catalog.

    Raises TroubleError, which names similar ones, if there is none.
    """
    found = reader.executions(rid=rid)
    if not found:
        why = f"the journal {reader.path} has no such execution"
        then = _near(rid, reader.names(), "`deriva-watch status` lists those that it has.")
        raise TroubleError(f"cannot show {rid}", why, then)
    return found


def details(reader: Reader, rid: str, path: str | None = None) -> dict[str, Any]:
    """Return everything about the executions named *rid*: one entry for each prefix and catalog.

    With *path*, only that file. Raises TroubleError if there is no such execution or file.
    """
    entries = [_details(reader, execution) for execution in executions_of(reader, rid)]
    if path is not None:
        known = [file["path"] for entry in entries for file in entry["files"]]
        entries = [_only(entry, plain(path)) for entry in entries]
        if not any(entry["files"] for entry in entries):
            why = f"the journal {reader.path} has no such file of {rid}"
            then = _near(plain(path), known, f"`deriva-watch show {quote(rid)} --files` lists all.")
            raise TroubleError(f"cannot show {path}", why, then)
    return {"rid": rid, "executions": entries}


def _only(entry: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the details of an execution, with only one of its files."""
    lists = ("files", "history")
    return {**entry, **{n: [each for each in entry[n] if each["path"] == path] for n in lists}}


def _near(asked: str, known: Iterable[str], otherwise: str) -> str:
    near = nearest(asked, known)
    return f"Did you mean {near}?" if near else otherwise


def _details(reader: Reader, execution: ExecutionRecord) -> dict[str, Any]:
    files, history = reader.files(execution.id), reader.history(execution.id)
    paths: dict[int | None, str] = {file.id: plain(file.path) for file in files}
    return {
        **some(execution, _EXECUTION),
        "proved": proof_said(execution.proof) if execution.proof else None,
        "files": [some(file, _FILE) for file in files],
        "notices": plain(_notices(history)),
        "history": [{"path": paths.get(line.file_id), **some(line, _HISTORY)} for line in history],
    }


def _notices(history: Iterable[HistoryRecord]) -> Mapping[str, str]:
    """Return the notices of the last attempt that got through all files."""
    told = [line.detail["notices"] for line in history if "notices" in line.detail]
    return told[-1] if told else {}


def _counted(states: type[Any], counts: Mapping[Any, int]) -> dict[str, int]:
    return {state.value: counts.get(state, 0) for state in states}


def kept_receipts(reader: Reader, state_directory: Path, rid: str) -> list[Mapping[str, Any]]:
    """Return the receipts of the executions named *rid*; TroubleError if there is none."""
    executions = executions_of(reader, rid)
    places = {(each.server, kept_as(each)) for each in executions}
    found = [read_receipt(state_directory, *place) for place in sorted(places)]
    if not any(found):
        state = executions[0].state.value
        raise TroubleError(
            f"there is no receipt of {rid}",
            f"it is {state}, and {state_directory} has no readable receipt of it",
            "A receipt is written when the upload ends; "
            f"`deriva-watch show {quote(rid)}` shows how far it is.",
        )
    return [receipt for receipt in found if receipt]


MOST: Final = 50

_FOUND: Final = ("rid", "prefix", "state")


def finding(reader: Reader, name: str) -> dict[str, Any]:
    """Return executions and files with *name* in their names, at most MOST of each.

    `more` is true if there are others. Upper and lower case differ.
    """
    executions = reader.executions_named(name, MOST + 1)
    files = reader.named(name, MOST + 1)
    of = {number: reader.execution(number) for number in {file.execution_id for file in files}}
    return {
        "name": name,
        "executions": [some(each, _FOUND) for each in executions[:MOST]],
        "files": [
            {**some(of[file.execution_id], ("rid", "prefix")), **some(file, ("path", "state"))}
            for file in files[:MOST]
        ],
        "more": max(len(executions), len(files)) > MOST,
    }
