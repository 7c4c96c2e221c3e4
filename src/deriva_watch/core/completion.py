"""Is an execution directory complete?

The scanner looks, the caller brings the clock and remembers since when it has seen what it sees;
this file only weighs. The answer carries its evidence and, if it is no, the time to ask again:
so there is no timer anywhere. An answer holds until then, unless the evidence changes before.

1. Nobody has a file below open for writing, and
2. nothing has changed for a while (the *quiet* period): both must hold, always.
3. What the writer says changes the wait: done (a marker file or a status) shortens it, Running
   forbids.
4. Another uploader, deriva-ml itself, goes first.

The quiet period is `quiet_s` and as much again for each GiB of the largest file, at most
`quiet_max_s`: a copy of a large file stalls longer than one of a small file. The writer's word
makes it `quiet_after_signal_s`. Where it cannot be seen who has files open it counts four times.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from deriva_watch.core.observation import HolderMethod, Holders, Kind, Observation

_GIB: Final = 1024**3
_UNKNOWN_HOLDERS_FACTOR: Final = 4
_DONE: Final = frozenset({"Stopped", "Failed", "Completed"})
_ABOUT_TO_UPLOAD: Final = frozenset({"Stopped", "Completed"})  # deriva-ml uploads after these
_NAMED_PATHS: Final = 10  # so many open files are kept as evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionPolicy:
    """How long to wait for what; see [completion] in the settings.

    Attributes:
        quiet_s: How long nothing may have changed, for small files.
        quiet_max_s: The same for the largest ones.
        quiet_after_signal_s: The same once the writer said that it is done.
        markers: Names of files by which a writer says that it is done.
        trust_status: Whether the status of the execution counts as the writer's word.
        max_running_s: After so long without any change a run that is Running is taken for dead.
        grace_s: How long the program gets to begin its own upload after it stopped.
        foreign_upload_cap_s: After so long without a change of status, another program's upload
            is taken for dead.
        recheck_s: When to ask again where something must happen that has no time.
    """

    quiet_s: float = 30
    quiet_max_s: float = 600
    quiet_after_signal_s: float = 5
    markers: tuple[str, ...] = (".complete", "CopyComplete.txt")
    trust_status: bool = True
    max_running_s: float = 7 * 24 * 3600
    grace_s: float = 60
    foreign_upload_cap_s: float = 3600
    recheck_s: float = 30


@dataclass(frozen=True, slots=True)
class Since:
    """A value, and when it was first seen to be what it has been ever since."""

    value: str
    since: datetime


def still(before: Since | None, value: str, now: datetime) -> Since:
    """Return *before* while its value stays; a clock that was set back starts anew."""
    if before is not None and before.value == value and before.since <= now:
        return before
    return Since(value, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about an execution directory.

    Attributes:
        seen: The latest look.
        content: Its digest, and since when looks have found it; set by `looked_at` of the looks.
        holders: Who has files open for writing.
        workspace: Status in deriva-ml's workspace database, None where none lists the execution.
        catalog: Status of the Execution row, None where it has none.
        ours: The status that we ourselves set last; it is nobody's word.
        insisted: A person asked for the upload with `retry`: that it was aborted does not count.
    """

    seen: Observation
    content: Since
    holders: Holders
    workspace: Since | None = None
    catalog: Since | None = None
    ours: str | None = None
    insisted: bool = False


@dataclass(frozen=True, slots=True)
class Complete:
    """It is complete. *evidence* can be written as JSON."""

    why: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Incomplete:
    """It is not complete, or not surely. A time in the past means: look again at once."""

    why: str
    look_again_at: datetime
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refuse:
    """It is never uploaded unless a person says so."""

    what: str
    why: str
    next: str
    evidence: Mapping[str, Any]


class _Hold(NamedTuple):
    why: str
    until: datetime  # it cannot be complete before


def judge(
    evidence: Evidence, policy: CompletionPolicy, now: datetime
) -> Complete | Incomplete | Refuse:
    """Say whether the directory is complete at *now*, and if not, why not."""
    facts = _facts(evidence, policy)
    record = _record(evidence, facts)
    if not evidence.insisted and (who := _who_says(evidence, "Aborted")):
        rid = evidence.seen.root.rpartition("/")[2]
        return Refuse(
            f"execution {rid} is not uploaded",
            f"{who} says that it was aborted",
            f"Run `deriva-watch retry {rid}` to upload it all the same.",
            record,
        )
    holds = list(_holds(evidence, facts, policy, now))
    if holds:
        last = max(holds, key=lambda hold: hold.until)
        return Incomplete(last.why, last.until, record)
    return Complete(_verdict(evidence, facts), record)


class _Facts(NamedTuple):
    """What follows from the evidence."""

    files: int
    largest_bytes: int
    marker: str | None
    status: Since | None  # what the writer says; deriva-ml writes its workspace before the catalog
    done: bool  # the writer says so
    quiet: timedelta
    quiet_needed: timedelta


def _facts(evidence: Evidence, policy: CompletionPolicy) -> _Facts:
    entries = evidence.seen.entries
    files = [
        entry.size_bytes
        for path, entry in entries.items()
        if entry.kind is not Kind.IGNORED and path not in policy.markers
    ]
    largest_bytes = max(files, default=0)
    marker = next((name for name in policy.markers if name in entries), None)
    status = evidence.workspace or evidence.catalog
    if status and status.value == evidence.ours:
        status = None
    done = marker is not None or (
        policy.trust_status and status is not None and status.value in _DONE
    )
    needed_s = min(policy.quiet_max_s, policy.quiet_s * (1 + largest_bytes / _GIB))
    if done:
        needed_s = policy.quiet_after_signal_s
    if evidence.holders.method is HolderMethod.UNKNOWN:
        needed_s *= _UNKNOWN_HOLDERS_FACTOR
    quiet = evidence.seen.looked_at - evidence.content.since
    return _Facts(
        len(files), largest_bytes, marker, status, done, quiet, timedelta(seconds=needed_s)
    )


def _holds(
    evidence: Evidence, facts: _Facts, policy: CompletionPolicy, now: datetime
) -> Iterator[_Hold]:
    """Yield everything that speaks against completeness."""
    recheck_at = now + timedelta(seconds=policy.recheck_s)
    if not (facts.files or evidence.seen.unreadable):  # what cannot be listed, the plan names
        yield _Hold("it has no files yet", recheck_at)
    if evidence.holders.open:
        first, more = min(evidence.holders.open), len(evidence.holders.open) - 1
        others = f" and {more} more" if more else ""
        yield _Hold(f"{_shown(first)}{others} is open for writing", recheck_at)
    if facts.quiet < facts.quiet_needed:
        why = f"unchanged for {_s(facts.quiet)} of {_s(facts.quiet_needed)}"
        yield _Hold(why + _blind(evidence), evidence.content.since + facts.quiet_needed)
    if policy.trust_status and facts.status and facts.status.value == "Running":
        latest = max(facts.status.since, evidence.content.since)
        dead_at = latest + timedelta(seconds=policy.max_running_s)
        if now < dead_at:
            yield _Hold("its status is Running", min(dead_at, recheck_at))
    yield from _others_first(evidence, facts, policy, now)


def _others_first(
    evidence: Evidence, facts: _Facts, policy: CompletionPolicy, now: datetime
) -> Iterator[_Hold]:
    """Yield the holds for deriva-ml's own upload: one that may begin, and one that has begun."""
    if facts.status and facts.status.value in _ABOUT_TO_UPLOAD:
        grace_ends = facts.status.since + timedelta(seconds=policy.grace_s)
        if now < grace_ends:
            why = f"its status is {facts.status.value}: the program may begin its own upload"
            yield _Hold(why, grace_ends)
    for status in (evidence.workspace, evidence.catalog):
        if status and status.value == "Pending_Upload" != evidence.ours:
            dead_at = status.since + timedelta(seconds=policy.foreign_upload_cap_s)
            if now < dead_at:
                recheck_at = now + timedelta(seconds=policy.recheck_s)
                why = "its status is Pending_Upload: another program uploads it"
                yield _Hold(why, min(dead_at, recheck_at))


def _verdict(evidence: Evidence, facts: _Facts) -> str:
    """Name the rules that held."""
    held = [
        f"nobody has a file open for writing ({evidence.holders.method})",
        f"unchanged for {_s(facts.quiet)} of {_s(facts.quiet_needed)}{_blind(evidence)}",
    ]
    if facts.marker:
        held.append(f"{facts.marker} is there")
    if facts.status:
        held.append(f"its status is {facts.status.value} since {facts.status.since.isoformat()}")
    return "; ".join(held)


def _record(evidence: Evidence, facts: _Facts) -> dict[str, Any]:
    """Return the evidence as JSON."""
    statuses = {"workspace": evidence.workspace, "catalog": evidence.catalog}
    return {
        "files": facts.files,
        "largest_bytes": facts.largest_bytes,
        "digest": evidence.content.value,
        "looked_at": evidence.seen.looked_at.isoformat(),
        "unchanged_since": evidence.content.since.isoformat(),
        "quiet_s": facts.quiet.total_seconds(),
        "quiet_needed_s": facts.quiet_needed.total_seconds(),
        "holders": str(evidence.holders.method),
        "open": [_shown(path) for path in sorted(evidence.holders.open)[:_NAMED_PATHS]],
        "marker": facts.marker,
        "status": {
            source: {"is": status.value, "since": status.since.isoformat()}
            for source, status in statuses.items()
            if status
        },
        "status_set_by_us": evidence.ours,
        "insisted": evidence.insisted,
    }


def _who_says(evidence: Evidence, word: str) -> str | None:
    if evidence.workspace and evidence.workspace.value == word:
        return "deriva-ml's workspace"
    return "the catalog" if evidence.catalog and evidence.catalog.value == word else None


def _blind(evidence: Evidence) -> str:
    blind = evidence.holders.method is HolderMethod.UNKNOWN
    return " (four times as long: it cannot be seen who has files open)" if blind else ""


def _s(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"


def _shown(path: str) -> str:
    """Return *path* as text: bytes that are not UTF-8 become backslash escapes."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
