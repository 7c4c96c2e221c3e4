"""Forms the batches of a drop folder; one scan of the folder serves all of them.

A file that is in no batch must be unchanged for a while before it joins one. A file of a batch
reopens its batch when it changes. A new batch is written into the journal with all its files in one
transaction, and is then a unit like any other.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from deriva_watch.core.completeness import batching
from deriva_watch.core.completeness.evidence import partial_paths
from deriva_watch.core.completeness.observation import Entry, Observation
from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.layout import LOOSE
from deriva_watch.core.records import ExecutionRecord, FileFacts
from deriva_watch.core.states import AT_REST, ExecutionState
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk.open_files import holders
from deriva_watch.edges.journal import Batch, Journal
from deriva_watch.liveness import depending_on
from deriva_watch.pipeline.prior_batches import PriorBatches
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.watch.folder_cache import FolderCache
from deriva_watch.watch.look_queue import Looked
from deriva_watch.watch.prehash import Prehash, earliest
from deriva_watch.watch.reread import latest_change_ns


@dataclass(slots=True)
class BatchFormer:
    """Tracks how long each file that is in no batch has been unchanged; a restart forgets that.

    Attributes:
        journal: Keeps the batches.
        server: The "host/catalog" that they are kept under.
        unit_reader: Reads the folders.
        folder_cache: Knows the folders that a rescan can skip.
        prehash: Hashes files before a batch is formed; None: nothing does.
        notices_edits: A batch is looked at too if only change times of its files moved.
    """

    journal: Journal
    server: str
    unit_reader: UnitReader
    folder_cache: FolderCache[Unit]
    prehash: Prehash | None = None
    notices_edits: bool = False
    _arrivals: dict[Path, batching.Arrivals] = field(default_factory=dict, init=False)
    _prior: PriorBatches = field(init=False)

    def __post_init__(self) -> None:
        """Begin with what receipts know of earlier batches."""
        self._prior = PriorBatches(self.unit_reader.settings, self.journal, self.server)

    def look(self, drop: Drop, policy: CompletionPolicy) -> Looked:
        """Look once; also return the batches to look at: those that changed or are not complete."""
        loose = Unit(drop.path, LOOSE, drop)
        seen = self.unit_reader.look(loose) if drop.unit != "directory" else None
        if seen is None:
            self._arrivals.pop(drop.path, None)
            return Looked()
        own = {path: each for path, each in seen.entries.items() if not drop.is_moved(path)}
        seen = replace(seen, entries=own)
        members = self.journal.members(self.server, str(drop.path))
        units = self._units(drop)
        again_at = self._form(drop, policy, seen, members, units.keys())
        changed = list(_changed(units.values(), members, seen, edits=self.notices_edits))
        resting = all(unit.state in AT_REST for unit in units.values())
        if again_at or changed or not resting or seen.unlisted:
            self.folder_cache.forget(loose)
        else:
            self.folder_cache.keep(loose, seen)
        also = tuple(Unit(drop.path, unit.rid, drop) for unit in changed)
        return Looked(again_at, also, {f"{drop.path}: folders": _unreadable(drop, seen)})

    def forget_all(self) -> None:
        """Forget since when files are unchanged: the clock was set.

        A look that is under way writes into what is forgotten.
        """
        self._arrivals = {}

    def is_unmounted(self, drop: Drop, unit: ExecutionRecord) -> bool:
        """Return whether the folder is the empty mount point of the disk that a unit was on."""
        try:
            with depending_on(drop.path):
                device = drop.path.stat().st_dev
                is_empty = not any(drop.path.iterdir())
        except OSError:
            return True
        known = {file.device for file in self.journal.files(unit.id)}
        return is_empty and bool(known) and device not in known

    def _units(self, drop: Drop) -> dict[str, ExecutionRecord]:
        found = self.journal.executions(prefix=str(drop.path))
        return {each.rid: each for each in found if each.server == self.server}

    def _form(
        self,
        drop: Drop,
        policy: CompletionPolicy,
        seen: Observation,
        members: dict[str, set[str]],
        names: Collection[str],
    ) -> datetime | None:
        """Track the files that are in no batch, and write a batch down once it is closed."""
        taken = set().union(*members.values())
        arrivals = self._arrivals  # a clock that is set meanwhile replaces it
        found = batching.arrivals(arrivals.get(drop.path, {}), seen, taken, policy)
        if due := batching.quiet(found, seen.looked_at):
            with depending_on(drop.path):
                asked = holders([batching.part(seen, due)])[seen.root]
            found = batching.settle(found, asked, seen.looked_at)
        batch_s = 0.0 if drop.unit == "none" else drop.batch_s
        formed = batching.batch(found, batch_s, seen.looked_at, policy.recheck_s)
        arrivals[drop.path] = found
        for name, paths in self._named(drop, batching.part(seen, formed.closed), names):
            self._write_down(drop, name, batching.part(seen, paths), found)
            for path in paths:
                del found[path]
        return earliest(
            formed.look_again_at, self._hash_ahead(drop, batching.part(seen, found), policy)
        )

    def _named(
        self, drop: Drop, closed: Observation, names: Collection[str]
    ) -> Iterator[tuple[str, list[str]]]:
        """Yield the names and files of the batches that files form: earlier ones, and a new one."""
        if not closed.entries:
            return
        sizes = {path: entry.size_bytes for path, entry in closed.entries.items()}
        before = self._prior.of(drop, sizes)
        yield from before.items()
        if rest := sorted(sizes.keys() - {path for paths in before.values() for path in paths}):
            yield batching.batch_name(closed.looked_at, {*names, *before}), rest

    def _hash_ahead(
        self, drop: Drop, seen: Observation, policy: CompletionPolicy
    ) -> datetime | None:
        if self.prehash is None:
            return None
        disk, leave = self.unit_reader.directory(Unit(drop.path, LOOSE, drop)), policy.partial
        return self.prehash.consider_loose(drop.path, disk, seen, set(partial_paths(seen, leave)))

    def _write_down(
        self, drop: Drop, name: str, seen: Observation, found: batching.Arrivals
    ) -> None:
        times = [at for path in seen.entries if (at := found[path].settled_at)]
        since = f"the first at {min(times):%H:%M:%S} UTC"
        verdict: dict[str, Any] = {
            "why": f"{len(times)} files have settled, each by itself, {since}",
            "files": len(seen.entries),
            "first_settled_at": min(times).isoformat(),
            "looked_at": seen.looked_at.isoformat(),
        }
        opened = self.journal.open_batch(
            Batch(self.server, str(drop.path), name, drop.unit),
            {path: _stamp(entry) for path, entry in seen.entries.items()},
            {"digest": seen.digest(), "verdict": verdict},
        )
        if self.prehash:
            self.prehash.take(drop.path, opened, seen)


def _changed(
    units: Iterable[ExecutionRecord],
    members: dict[str, set[str]],
    seen: Observation,
    *,
    edits: bool,
) -> Iterable[ExecutionRecord]:
    """Yield the batches that have changed or are filling: each is looked at by itself.

    With *edits*, also those of which only the change time of a file moved.
    """
    for unit in units:
        paths = members.get(unit.rid, set())
        if unit.state is ExecutionState.GONE:
            if not paths.isdisjoint(seen.entries):
                yield unit
        elif (
            unit.state is ExecutionState.FILLING
            or batching.is_another(seen, paths, unit.digest)
            or (edits and latest_change_ns(batching.part(seen, paths)) != unit.checked_ns)
        ):
            yield unit


def _unreadable(drop: Drop, seen: Observation) -> TroubleError | None:
    if not seen.unlisted:
        return None
    where, why = min(seen.unlisted.items())
    return TroubleError(
        f"cannot read {len(seen.unlisted)} folders of {drop.path}",
        f"{where}: {why}",
        "Give the user of deriva-watch read access; the daemon retries automatically.",
    )


def _stamp(entry: Entry) -> FileFacts:
    return {
        "size_bytes": entry.size_bytes,
        "mtime_ns": entry.mtime_ns,
        "device": entry.device,
        "inode": entry.inode,
    }
