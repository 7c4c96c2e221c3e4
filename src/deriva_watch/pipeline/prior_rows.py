"""Whether rows without a key may be in the catalog already, loaded by somebody else."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.layout import TABLES
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.journal import Journal
from deriva_watch.pipeline.unit_paths import birth


def not_loaded_before(
    journal: Journal, record: ExecutionRecord, root: Path
) -> Callable[[Entry], bool]:
    """Return a predicate that is true for files whose rows nobody can have loaded before us.

    A table outside of executions may have been loaded by hand before there was a journal. A
    journal that was set aside may have recorded the load of any file. The predicate is true for
    every file of a unit whose upload a person requested.
    """
    before = journal.damaged_journals()
    if record.is_requested or (record.rid != TABLES and not before):
        return lambda _entry: True
    if before:
        return _is_younger(root, before[-1].at)
    began = birth(journal.path) or journal.started_at()
    return lambda entry: _is_changed_since(entry, began)


def _is_younger(root: Path, since: datetime) -> Callable[[Entry], bool]:
    @cache
    def is_younger(entry: Entry) -> bool:
        """Return whether it was created, not only changed, since then."""
        born = birth(root / entry.path)
        return _is_changed_since(entry, since) and (born is None or born >= since)

    return is_younger


def _is_changed_since(entry: Entry, time: datetime) -> bool:
    return entry.mtime_ns >= time.timestamp() * 1e9
