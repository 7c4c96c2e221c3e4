"""Is an execution directory complete?

The scanner observes; the caller knows the time and since when the observations have been the same;
this file only decides. The answer contains its evidence and, if it is no, the time to ask again, so
there is no timer anywhere. An answer is valid until then, unless the evidence changes earlier.

1. Nobody has a file in it open for writing, and
2. nothing has changed for a while (the *quiet* period): both are always required.
3. What the writer says changes the wait: done (a marker file or a status) shortens it, Running
   forbids the upload, unless the machine was restarted since.
4. A file that is partial by its name must be unchanged for the longest quiet period, so that a
   download that died does not block the directory forever. So must the directory if manifest or
   workspace name a file that does not exist.
5. Another uploader, deriva-ml itself, goes first.

The quiet period is `quiet_s` and as much again for each GiB of the largest file, at most
`quiet_max_s`: a copy of a large file stalls longer than one of a small file. If the writer says
done, it is `quiet_after_signal_s`. Where open files cannot be seen it is four times as long.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from deriva_watch.core.completeness.evidence import Evidence, Facts, conclude, recorded, shown
from deriva_watch.core.completeness.observation import HolderMethod
from deriva_watch.core.completeness.policy import CompletionPolicy

_EXACT_S: Final = 10  # shorter times are shown with tenths
_ABOUT_TO_UPLOAD: Final = frozenset({"Stopped", "Completed"})  # deriva-ml uploads after these


@dataclass(frozen=True, slots=True)
class Complete:
    """It is complete. *evidence* can be written as JSON."""

    why: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Incomplete:
    """It is not complete, or not certainly. A time in the past means: look again at once.

    *why* is the reason that holds longest; `missing` in the evidence has all reasons.
    """

    why: str
    look_again_at: datetime
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refuse:
    """It is not uploaded until a person orders it."""

    what: str
    why: str
    next: str
    evidence: Mapping[str, Any]


class _Hold(NamedTuple):
    why: str
    until: datetime  # the earliest time at which it can be complete


def judge(
    evidence: Evidence, policy: CompletionPolicy, now: datetime
) -> Complete | Incomplete | Refuse:
    """Return whether the directory is complete at *now*, with the reason."""
    facts = conclude(evidence, policy)
    record = {**facts.recorded(), **recorded(evidence)}
    if not evidence.requested and (who := _who_says(evidence, "Aborted")):
        rid = evidence.seen.root.rpartition("/")[2]
        return Refuse(
            f"execution {rid} is not uploaded",
            f"{who} says that it was aborted",
            f"Run `deriva-watch retry {rid}` to upload it anyway.",
            record,
        )
    holds = list(_holds(evidence, facts, policy, now))
    if holds:
        last = max(holds, key=lambda hold: hold.until)
        missing = [hold.why for hold in holds]
        return Incomplete(last.why, last.until, {**record, "missing": missing})
    return Complete(_verdict(evidence, facts), record)


def _holds(
    evidence: Evidence, facts: Facts, policy: CompletionPolicy, now: datetime
) -> Iterator[_Hold]:
    """Yield every reason why it is not complete."""
    recheck_at = now + timedelta(seconds=policy.recheck_s)
    if not (facts.files or evidence.seen.unreadable):  # the plan refuses what cannot be listed
        yield _Hold("it has no files yet", recheck_at)
    if evidence.holders.open:
        yield _Hold(f"{_some(evidence.holders.open)} is open for writing", recheck_at)
    if facts.quiet < facts.quiet_needed:
        yield _Hold(_unchanged(evidence, facts), evidence.content.since + facts.quiet_needed)
    if evidence.partial:
        partial_quiet = evidence.seen.looked_at - evidence.partial.since
        needed = timedelta(seconds=policy.quiet_max_s)
        if partial_quiet < needed:
            why = f"unchanged for {_s(partial_quiet)} ({_s(needed)} required)"
            yield _Hold(f"{_partial(evidence)}: {why}", evidence.partial.since + needed)
    if evidence.missing_files and facts.quiet < (needed := timedelta(seconds=policy.quiet_max_s)):
        why = f"unchanged for {_s(facts.quiet)} ({_s(needed)} required)"
        yield _Hold(f"{_listed(evidence)} does not exist: {why}", evidence.content.since + needed)
    if policy.trust_status and facts.status and facts.status.value == "Running":
        latest = max(facts.status.since, evidence.content.since)
        if evidence.same_since:
            latest = min(latest, evidence.same_since)  # this long wait continues over restarts
        dead_at = latest + timedelta(seconds=policy.max_running_s)
        if now < dead_at and not evidence.unchanged_since_before_boot:
            yield _Hold("its status is Running", min(dead_at, recheck_at))
    yield from _others_first(evidence, facts, policy, now)


def _others_first(
    evidence: Evidence, facts: Facts, policy: CompletionPolicy, now: datetime
) -> Iterator[_Hold]:
    """Yield the holds for deriva-ml's own upload: one that may begin, and one that has begun."""
    if facts.status and facts.status.value in _ABOUT_TO_UPLOAD:
        grace_ends = facts.status.since + timedelta(seconds=policy.grace_s)
        if now < grace_ends:
            why = f"its status is {facts.status.value}; its program may upload the files itself"
            yield _Hold(why, grace_ends)
    for status in (evidence.workspace, evidence.catalog):
        if status and status.value == "Pending_Upload" != evidence.ours:
            dead_at = status.since + timedelta(seconds=policy.foreign_upload_cap_s)
            if now < dead_at:
                recheck_at = now + timedelta(seconds=policy.recheck_s)
                why = "its status is Pending_Upload: another program is uploading it"
                yield _Hold(why, min(dead_at, recheck_at))


def _verdict(evidence: Evidence, facts: Facts) -> str:
    """Return the rules that are fulfilled, as a sentence."""
    held = [
        f"nobody has a file open for writing ({evidence.holders.method})",
        _unchanged(evidence, facts),
    ]
    if evidence.partial:
        partial_quiet = evidence.seen.looked_at - evidence.partial.since
        held.append(f"{_partial(evidence)}, but is unchanged for {_s(partial_quiet)}")
    if evidence.missing_files:
        held.append(f"{_listed(evidence)} was never written")
    if facts.marker:
        held.append(f"{facts.marker} exists")
    if facts.status:
        held.append(f"its status is {facts.status.value} since {_time(facts.status.since)}")
        if evidence.unchanged_since_before_boot and facts.status.value == "Running":
            why = "the program has ended: this machine was restarted, and nothing has changed since"
            held.append(f"{why} {_time(evidence.unchanged_since_before_boot)}")
    return "; ".join(held)


def _partial(evidence: Evidence) -> str:
    return f"{_some(evidence.partial_paths)} has the name of a partial file"


def _listed(evidence: Evidence) -> str:
    return f"{_some(evidence.missing_files)} is listed in the manifest or workspace but"


def _some(paths: Collection[str]) -> str:
    """Return one of *paths* and the number of the others."""
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return shown(min(paths)) + others


def _who_says(evidence: Evidence, word: str) -> str | None:
    if evidence.workspace and evidence.workspace.value == word:
        return "deriva-ml's workspace"
    return "the catalog" if evidence.catalog and evidence.catalog.value == word else None


def _unchanged(evidence: Evidence, facts: Facts) -> str:
    blind = evidence.holders.method is HolderMethod.UNKNOWN
    because = ": four times as long, because open files cannot be seen here" if blind else ""
    return f"unchanged for {_s(facts.quiet)} ({_s(facts.quiet_needed)} required{because})"


def _s(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{seconds:.1f} s".replace(".0 s", " s") if seconds < _EXACT_S else f"{seconds:.0f} s"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
