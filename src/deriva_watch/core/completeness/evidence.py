"""What is known of an execution directory, and what follows from it; `completion` weighs it."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import translate
from functools import cache
from typing import Any, Final, NamedTuple

from deriva_watch.core.completeness.observation import HolderMethod, Holders, Kind, Observation
from deriva_watch.core.completeness.policy import CompletionPolicy

UNKNOWN_HOLDERS: Final = 4
"""How many times as long it must be quiet where it cannot be seen who has files open."""

_GIB: Final = 1024**3
_DONE: Final = frozenset({"Stopped", "Failed", "Completed"})
_NAMED_PATHS: Final = 10  # so many paths are kept as evidence


@dataclass(frozen=True, slots=True)
class Since:
    """A value, and when it was first seen to be what it has been ever since."""

    value: str
    since: datetime


def still(before: Since | None, value: str, now: datetime) -> Since:
    """Return *before* while its value stays; a clock that was set back starts over."""
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
        partial_paths: The files that are partial by their names.
        partial: Their digest, and since when looks have found it; None where there are none.
        missing_files: The files that a manifest or workspace lists but that do not exist; looked
            for once everything else says that it is complete.
        workspace: Status in deriva-ml's workspace database, None where none lists the execution.
        catalog: Status of the Execution row, None where it has none.
        row_changed: When the catalog says that the Execution row was changed.
        boot: Names this machine and its latest start, "machine/start", where it says that.
        same_since: Since when looks have found content, statuses and row as they are, those of
            earlier processes among them; None: not known.
        unchanged_since_before_boot: When a look before that start found all this, see the function
            of this name; None as well where other machines may write to the directory.
        ours: The status that we ourselves set last; it says nothing about the writer.
        requested: A person asked for the upload with `retry`: that it was aborted does not count.
    """

    seen: Observation
    content: Since
    holders: Holders
    partial_paths: Sequence[str] = ()
    partial: Since | None = None
    missing_files: Sequence[str] = ()
    workspace: Since | None = None
    catalog: Since | None = None
    row_changed: str | None = None
    boot: str | None = None
    same_since: datetime | None = None
    unchanged_since_before_boot: datetime | None = None
    ours: str | None = None
    requested: bool = False


def partial_paths(seen: Observation, patterns: Sequence[str], unit: str | None = None) -> list[str]:
    """Return the paths of the files that are partial by their names, or by that of a folder.

    *unit* is the name of the directory itself, if it can be that of a transfer in progress.
    """
    if not patterns:
        return []
    is_partial = _matcher(tuple(patterns))
    if unit and is_partial(unit):
        return sorted(seen.entries)
    folders: dict[str, bool] = {}  # few, beside the files
    found = []
    for path in seen.entries:
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            folders[folder] = any(map(is_partial, folder.split("/")))
        if folders[folder] or is_partial(name):
            found.append(path)
    return sorted(found)


def partial_digest(seen: Observation, paths: Sequence[str]) -> str | None:
    """Return a value that changes when one of the partial files, *paths*, does; None if none."""
    state = hashlib.sha256()
    for path in paths:
        line = f"{path}\0{seen.entries[path].stamp}\n"
        state.update(line.encode(errors="surrogateescape"))
    return state.hexdigest() if paths else None


def unchanged_since_before_boot(
    before: Mapping[str, Any] | None, evidence: Evidence
) -> datetime | None:
    """Return when a look found all of *evidence*, if this machine was rebooted since.

    Whatever wrote it on this machine has ended then.

    Args:
        before: The evidence of an earlier look, as `recorded`.
        evidence: That of the first look that knows of no other.
    """
    if before is None or evidence.boot is None or _signature(before) != signature(evidence):
        return None
    if before.get("boot") == evidence.boot:  # the look of another process after the start
        at = before.get("unchanged_since_before_boot")
    else:
        machine = evidence.boot.partition("/")[0]
        is_this = str(before.get("boot")).partition("/")[0] == machine
        at = before.get("looked_at") if is_this else None
    return datetime.fromisoformat(at) if at else None


def same_since(before: Mapping[str, Any] | None, evidence: Evidence) -> datetime | None:
    """Return since when looks, those of earlier processes too, have found all of *evidence*.

    None if *before*, as in `unchanged_since_before_boot`, differs. A process that has ended made
    that observation, so it counts for the longest waits alone.
    """
    if before is None or _signature(before) != signature(evidence) or not before.get("same_since"):
        return None
    since = datetime.fromisoformat(before["same_since"])
    return since if since <= evidence.seen.looked_at else None


def signature(evidence: Evidence) -> tuple[Any, ...]:
    """Return a value that stays the same as long as no program has done anything."""
    return _signature(recorded(evidence))


def _signature(record: Mapping[str, Any]) -> tuple[Any, ...]:
    statuses = {source: status["is"] for source, status in record.get("status", {}).items()}
    return record.get("digest"), statuses, record.get("row_changed")


@cache
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return re.compile("|".join(map(translate, patterns))).match


class Facts(NamedTuple):
    """What follows from the evidence."""

    files: int
    size_bytes: int
    largest_bytes: int
    marker: str | None
    status: Since | None  # what the writer says; deriva-ml writes its workspace before the catalog
    done: bool  # the writer says so
    quiet: timedelta
    quiet_needed: timedelta

    def recorded(self) -> dict[str, Any]:
        """Return them as JSON."""
        return {
            "files": self.files,
            "size_bytes": self.size_bytes,
            "largest_bytes": self.largest_bytes,
            "quiet_s": self.quiet.total_seconds(),
            "quiet_needed_s": self.quiet_needed.total_seconds(),
            "marker": self.marker,
        }


def quiet_needed(largest_bytes: int, policy: CompletionPolicy) -> float:
    """Return for how many seconds nothing may change, by the size of the largest file."""
    return min(policy.quiet_max_s, policy.quiet_s * (1 + largest_bytes / _GIB))


def conclude(evidence: Evidence, policy: CompletionPolicy) -> Facts:
    """Draw the conclusions."""
    entries, disbelieved = evidence.seen.entries, evidence.seen.disbelieved
    files = [
        entry.size_bytes
        for path, entry in entries.items()
        if entry.kind is not Kind.IGNORED and path not in policy.markers
    ]
    largest_bytes = max(files, default=0)
    marker = next((n for n in policy.markers if n in entries and n not in disbelieved), None)
    status = evidence.workspace or evidence.catalog
    if status and status.value == evidence.ours:
        status = None
    done = marker is not None or (
        policy.trust_status and status is not None and status.value in _DONE
    )
    needed_s = quiet_needed(largest_bytes, policy)
    if done:
        needed_s = policy.quiet_after_signal_s
    if evidence.holders.method is HolderMethod.UNKNOWN:
        needed_s *= UNKNOWN_HOLDERS
    quiet = evidence.seen.looked_at - evidence.content.since
    return Facts(
        files=len(files),
        size_bytes=sum(files),
        largest_bytes=largest_bytes,
        marker=marker,
        status=status,
        done=done,
        quiet=quiet,
        quiet_needed=timedelta(seconds=needed_s),
    )


def recorded(evidence: Evidence) -> dict[str, Any]:
    """Return the evidence as JSON."""
    statuses = {"workspace": evidence.workspace, "catalog": evidence.catalog}
    return {
        "digest": evidence.content.value,
        "looked_at": evidence.seen.looked_at.isoformat(),
        "unchanged_since": evidence.content.since.isoformat(),
        "holders": str(evidence.holders.method),
        "open": [shown(path) for path in sorted(evidence.holders.open)[:_NAMED_PATHS]],
        "partial": [shown(path) for path in evidence.partial_paths[:_NAMED_PATHS]],
        "partial_unchanged_since": _iso(evidence.partial.since if evidence.partial else None),
        "missing_files": [shown(path) for path in evidence.missing_files[:_NAMED_PATHS]],
        "status": {
            source: {"is": status.value, "since": status.since.isoformat()}
            for source, status in statuses.items()
            if status
        },
        "row_changed": evidence.row_changed,
        "status_set_by_us": evidence.ours,
        "requested": evidence.requested,
        "boot": evidence.boot,
        "same_since": _iso(evidence.same_since),
        "unchanged_since_before_boot": _iso(evidence.unchanged_since_before_boot),
    }


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def shown(path: str) -> str:
    """Return *path* as text: bytes that are not UTF-8 become backslash escapes."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
