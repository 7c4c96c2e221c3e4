"""The verdict on a unit as far as one look can tell, for `plan`.

How long a unit has been unchanged is estimated from the times of its files, which a copy or another
clock may have set. The daemon measures it from one look to the next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from deriva_watch.core.completeness.completion import Complete, Incomplete, judge
from deriva_watch.core.completeness.coverage import missing_files
from deriva_watch.core.completeness.evidence import Evidence, Since, partial_digest
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk.open_files import holders
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.pipeline.ownership import workspace_of
from deriva_watch.pipeline.unit_reader import UnitReader

ONE_LOOK: Final = "an estimate from file times; the daemon measures it directly"

_CLOCKS_AGREE: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class ExpectedVerdict:
    """The verdict that the daemon would probably reach now.

    Attributes:
        is_complete: Whether the unit is complete.
        why: The rules that are fulfilled; or why it is not complete, or refused.
        missing: Why it is not complete yet, a sentence for each reason.
        evidence: The evidence, as the journal would keep it.
        state: The state of the unit in the journal, None if the journal does not know it.
    """

    is_complete: bool
    why: str
    missing: Sequence[str]
    evidence: Mapping[str, Any]
    state: str | None


def expected_verdict(
    unit_reader: UnitReader,
    catalog: Catalog,
    unit: Unit,
    seen: Observation,
    record: ExecutionRecord | None,
) -> ExpectedVerdict:
    """Return the verdict on what was *seen*; *record* is what the journal has of the unit."""
    policy = unit.policy(unit_reader.settings.completion_policy)
    evidence = _evidence(unit_reader, catalog, unit, seen, policy)
    if record:
        evidence = replace(evidence, ours=record.status_set, requested=record.is_requested)
    answer = judge(evidence, policy, seen.looked_at)
    missing = list(answer.evidence["missing"]) if isinstance(answer, Incomplete) else []
    if missing and seen.changed_at() > seen.looked_at + _CLOCKS_AGREE:
        missing.append("the time of a file is in the future, so its age is unknown")
    return ExpectedVerdict(
        is_complete=isinstance(answer, Complete),
        why=answer.why,
        missing=missing,
        evidence=answer.evidence,
        state=record.state.value if record else None,
    )


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
        row = catalog.execution(unit.name)
        listed = workspace_of(unit, seen.owner, unit_reader.settings)
        workspace = listed.execution_status(unit.name) if listed else None
    status = row.get("Status") if row else None
    changed = _changed_at(row, seen)
    return Evidence(
        seen=seen,
        content=Since(seen.digest(), min(seen.changed_at(), seen.looked_at)),
        holders=holders([seen])[seen.root],
        partial_paths=paths,
        missing_files=missing_files(unit_reader.sources(unit, seen, names_only=True), seen),
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
