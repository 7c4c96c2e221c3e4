"""What one look can tell of a directory: the verdict as it would be now, for `plan`.

Nobody has looked before: since when nothing changed is taken from times of files, which a copy or
another clock may have set. The daemon counts from its own looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from deriva_watch.core.completeness.completion import Complete, Incomplete, judge
from deriva_watch.core.completeness.coverage import awaited
from deriva_watch.core.completeness.evidence import (
    CompletionPolicy,
    Evidence,
    Since,
    partial_digest,
)
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk.open_files import holders
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.pipeline.ownership import workspace_of
from deriva_watch.pipeline.unit_reader import UnitReader

ONE_LOOK: Final = "an estimate from file times; the daemon measures itself"

_CLOCKS_AGREE: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would be decided now.

    Attributes:
        is_complete: Whether all that one look can see says so.
        why: The rules that held; or why it is refused.
        missing: What holds it up, each as a sentence.
        evidence: As the journal would have it.
        state: Where the journal has it, None where no journal knows it.
    """

    is_complete: bool
    why: str
    missing: Sequence[str]
    evidence: Mapping[str, Any]
    state: str | None


def prospect(
    unit_reader: UnitReader,
    catalog: Catalog,
    unit: Unit,
    seen: Observation,
    record: ExecutionRecord | None,
) -> Prospect:
    """Judge a directory now by one look; *record* is what the journal has of it."""
    policy = unit.policy(unit_reader.settings.completion_policy)
    evidence = _evidence(unit_reader, catalog, unit, seen, policy)
    if record:
        insisted = bool(record.verdict and record.verdict.get("insisted"))
        evidence = replace(evidence, ours=record.status_set, insisted=insisted)
    answer = judge(evidence, policy, seen.looked_at)
    missing = list(answer.evidence["missing"]) if isinstance(answer, Incomplete) else []
    if missing and seen.changed_at() > seen.looked_at + _CLOCKS_AGREE:
        missing.append("a file has a time to come: one look cannot tell since when it is unchanged")
    state = record.state.value if record else None
    return Prospect(isinstance(answer, Complete), answer.why, missing, answer.evidence, state)


def _evidence(
    unit_reader: UnitReader,
    catalog: Catalog,
    unit: Unit,
    seen: Observation,
    policy: CompletionPolicy,
) -> Evidence:
    paths = unit.partial_paths(seen, policy.partial)
    digest, times = partial_digest(seen, paths), [seen.entries[path].mtime_ns for path in paths]
    workspace, row = None, None
    if unit.is_execution:
        row, listed = catalog.execution(unit.name), workspace_of(unit, unit_reader.settings.server)
        workspace = listed.execution_status(unit.name) if listed else None
    status = row.get("Status") if row else None
    changed = _changed_at(row, seen)
    return Evidence(
        seen=seen,
        content=Since(seen.digest(), min(seen.changed_at(), seen.looked_at)),
        holders=holders([seen])[seen.root],
        partial_paths=paths,
        awaited=awaited(unit_reader.sources(unit, seen), seen),
        partial=Since(digest, _time(max(times), seen)) if digest else None,
        workspace=Since(workspace, changed) if workspace else None,
        catalog=Since(status, changed) if status else None,
    )


def _changed_at(row: Row | None, seen: Observation) -> datetime:
    """Return when the Execution row was changed; its status is not older."""
    changed = datetime.fromisoformat(row["RMT"]) if row else seen.looked_at
    return min(changed, seen.looked_at)


def _time(mtime_ns: int, seen: Observation) -> datetime:
    return min(datetime.fromtimestamp(mtime_ns / 1e9, seen.looked_at.tzinfo), seen.looked_at)
