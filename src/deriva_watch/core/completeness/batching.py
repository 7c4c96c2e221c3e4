"""Form batches from the files of a drop folder.

Every file settles separately: it must be unchanged for as long as a directory with this one file
would have to be, and nobody may have it open for writing. A file that never settles delays no
other. A batch is closed some time after its first file settled, with all that have settled by then.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from deriva_watch.core.completeness.evidence import UNKNOWN_HOLDERS, partial_paths, quiet_needed
from deriva_watch.core.completeness.observation import (
    HolderMethod,
    Holders,
    Kind,
    Observation,
    Stamp,
)
from deriva_watch.core.completeness.policy import CompletionPolicy

BATCH: Final = "batch-"  # begins the name of every batch


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that is in no batch yet.

    Attributes:
        stamp: Its stamp, as of `Entry.stamp`.
        since: Since when it has had that stamp.
        wait: How long it must be unchanged; longer where open files cannot be seen.
        settled_at: Since when it counts as complete; None if it does not.
    """

    stamp: Stamp
    since: datetime
    wait: timedelta
    settled_at: datetime | None = None


Arrivals = Mapping[str, Arrival]


class Batching(NamedTuple):
    """The decision after a scan of the folder.

    Attributes:
        closed: The files that form a batch now, if any.
        look_again_at: When a file may have settled or a batch is to be closed; None: no file waits.
    """

    closed: list[str]
    look_again_at: datetime | None


def arrivals(
    before: Arrivals, seen: Observation, taken: Collection[str], policy: CompletionPolicy
) -> dict[str, Arrival]:
    """Return the files of a drop folder that are in no batch, updated by what was *seen*.

    Markers and ignored files are not data and left out.
    """
    found, partial = {}, set(partial_paths(seen, policy.partial))
    for path, entry in seen.entries.items():
        if entry.kind is Kind.IGNORED or path in taken or path in policy.markers:
            continue
        known = before.get(path)
        if known is None or known.stamp != entry.stamp or known.since > seen.looked_at:
            wait_s = quiet_needed(entry.size_bytes, policy)
            wait = timedelta(seconds=policy.quiet_max_s if path in partial else wait_s)
            known = Arrival(entry.stamp, seen.looked_at, wait)
        found[path] = known
    return found


def quiet(found: Arrivals, looked_at: datetime) -> list[str]:
    """Return the files that have been unchanged for long enough, open or not."""
    return [path for path, each in found.items() if looked_at - each.since >= each.wait]


def settle(found: Arrivals, asked: Holders, looked_at: datetime) -> dict[str, Arrival]:
    """Return the files; those that are quiet and that nobody has open are settled.

    *asked* covers all quiet files.
    """
    return dict(_settled(found, asked, looked_at))


def _settled(found: Arrivals, asked: Holders, looked_at: datetime) -> Iterator[tuple[str, Arrival]]:
    factor = UNKNOWN_HOLDERS if asked.method is HolderMethod.UNKNOWN else 1
    for path, each in found.items():
        is_quiet = looked_at - each.since >= each.wait * factor
        if is_quiet and path not in asked.open:
            yield path, replace(each, settled_at=each.settled_at or looked_at)
        else:
            yield path, replace(each, settled_at=None)


def batch(found: Arrivals, batch_s: float, looked_at: datetime, recheck_s: float) -> Batching:
    """Return which files form a batch now, and when to look again."""
    settled = {path: each.settled_at for path, each in found.items() if each.settled_at}
    soon = looked_at + timedelta(seconds=recheck_s)
    # A file that is quiet but not settled is open.
    due = [max(each.since + each.wait, looked_at) for each in found.values() if not each.settled_at]
    times = [soon if at == looked_at else at for at in due]
    if settled:
        closes_at = min(settled.values()) + timedelta(seconds=batch_s)
        if closes_at <= looked_at:
            return Batching(sorted(settled), min(times, default=None))
        times.append(closes_at)
    return Batching([], min(times, default=None))


def part(seen: Observation, paths: Iterable[str]) -> Observation:
    """Return the observation of some of the files of a drop folder, as if there were no others."""
    entries = {path: seen.entries[path] for path in paths if path in seen.entries}
    return Observation(seen.root, entries, seen.looked_at, {})


def is_another(seen: Observation, paths: Collection[str], digest: str | None) -> bool:
    """Return True if the files of a batch have changed.

    False if some are in a folder that cannot be listed: then it is not known.
    """
    hidden = tuple("" if folder == "." else f"{folder}/" for folder in seen.unlisted)
    if hidden and any(path.startswith(hidden) for path in paths):
        return False
    return part(seen, paths).digest() != digest


def batch_name(at: datetime, taken: Collection[str]) -> str:
    """Return a name, not in *taken*, for a batch that is formed *at* a time."""
    name = f"{BATCH}{at:%Y%m%dT%H%M%SZ}"
    number = 1
    while (numbered := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return numbered
