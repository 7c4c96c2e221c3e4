"""Remembers what looks at a unit have found, and since when: the evidence for its verdict."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from deriva_watch.core.completeness.coverage import missing_files
from deriva_watch.core.completeness.evidence import (
    Evidence,
    Since,
    partial_digest,
    same_since,
    signature,
    still,
    unchanged_since_before_boot,
)
from deriva_watch.core.completeness.observation import HolderMethod, Holders, Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.removal.removal import removed_names
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.disk.open_files import holders
from deriva_watch.edges.host import machine
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.watching import mounts
from deriva_watch.engine.ports import Row
from deriva_watch.liveness import depending_on
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.ownership import Executions, workspace_of
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings

_NOBODY: Final = Holders(frozenset(), HolderMethod.PROC)  # until everything else says complete


@dataclass(slots=True)
class _Memory:
    """Since when looks have found each of these. A restart forgets them all but *same*."""

    content: Since | None = None
    partial: Since | None = None
    workspace: Since | None = None
    catalog: Since | None = None
    same: Since | None = None  # all of them together
    row: Row | None = None  # of the Execution, as the last look read it

    def content_in(self, seen: Observation) -> Since:
        """Return since when looks have found the content of *seen*."""
        self.content = still(self.content, seen.digest(), seen.looked_at)
        return self.content


@dataclass(slots=True)
class EvidenceHistory:
    """Remembers for each unit that is filling how long it has been unchanged.

    Attributes:
        journal: Knows which files were removed.
        catalog: Knows the status of an execution.
        settings: Name the server that workspaces must belong to.
        unit_reader: Reads units.
        breaker: Raises while the server cannot be reached, so that not every look tries it.
    """

    journal: Journal
    catalog: Executions
    settings: Settings
    unit_reader: UnitReader
    breaker: CircuitBreaker
    _memories: dict[Unit, _Memory] = field(default_factory=dict)
    _clock_was_set: bool = False

    def forget(self, unit: Unit) -> None:
        """Forget a unit."""
        self._memories.pop(unit, None)

    def forget_all(self) -> None:
        """Forget all units, and the times in the journal: the clock was set."""
        self._memories = {}  # a look that is under way writes into what is forgotten
        self._clock_was_set = True

    def evidence(
        self, unit: Unit, record: ExecutionRecord, seen: Observation, partial: Sequence[str]
    ) -> Evidence:
        """Return the evidence of a look, without the expensive part that `last` adds."""
        memory = self._memories.setdefault(unit, _Memory())
        content = memory.content_in(seen)
        digest = partial_digest(seen, partial)
        memory.partial = still(memory.partial, digest, seen.looked_at) if digest else None
        workspace = self._workspace_status(unit, seen)
        memory.workspace = still(memory.workspace, workspace, seen.looked_at) if workspace else None
        self.breaker.raise_if_tripped()
        row = self.catalog.execution(unit.name) if unit.is_execution else None
        memory.row, status = row, row.get("Status") if row else None
        memory.catalog = still(memory.catalog, status, seen.looked_at) if status else None
        evidence = Evidence(
            seen=seen,
            content=content,
            holders=_NOBODY,
            partial_paths=partial,
            partial=memory.partial,
            workspace=memory.workspace,
            catalog=memory.catalog,
            row_changed=row.get("RMT") if row else None,
            boot=machine.start(),
            ours=record.status_set,
            requested=record.is_requested,
        )
        return self._with_earlier_looks(evidence, record, memory)

    def row(self, unit: Unit) -> Row | None:
        """Return the row of the unit's Execution as the last look read it."""
        memory = self._memories.get(unit)
        return memory.row if memory else None

    def last(self, unit: Unit, record: ExecutionRecord, evidence: Evidence) -> Evidence | None:
        """Add the expensive evidence: open files, and listed files that are missing.

        A program may have written after the look, and closed its file or set its status before we
        asked for that. So the unit is looked at again afterwards. Returns None if it is gone.
        """
        with depending_on(unit.prefix):
            held = holders([evidence.seen])[evidence.seen.root]
        seen = self.unit_reader.look(unit)
        if seen is None:
            return None
        if unit.kind is UnitKind.BATCH:  # other files in the folder are not part of it
            held = replace(held, open=held.open & seen.entries.keys())
        content = self._memories.setdefault(unit, _Memory()).content_in(seen)
        missed = self._awaited(unit, record, seen)
        return replace(evidence, seen=seen, content=content, holders=held, missing_files=missed)

    def _with_earlier_looks(
        self, evidence: Evidence, record: ExecutionRecord, memory: _Memory
    ) -> Evidence:
        """Add what the journal knows of looks by earlier processes."""
        before = None if self._clock_was_set else record.verdict
        since, same = same_since(before, evidence), json.dumps(signature(evidence))
        if memory.same is None and since:
            memory.same = Since(same, since)
        memory.same = still(memory.same, same, evidence.seen.looked_at)
        at = unchanged_since_before_boot(record.verdict, evidence)
        is_ours = at and mounts.is_local(mounts.file_system(Path(evidence.seen.root)))
        return replace(
            evidence,
            same_since=memory.same.since,
            unchanged_since_before_boot=at if is_ours and not machine.is_shared() else None,
        )

    def _awaited(self, unit: Unit, record: ExecutionRecord, seen: Observation) -> Sequence[str]:
        try:
            said = self.unit_reader.sources(unit, seen, names_only=True)
        except RefusedError:
            return ()  # it belongs to another catalog
        if not (missing := missing_files(said, seen)):
            return ()  # the usual case
        gone = removed_names(self.journal.files(record.id))
        return [path for path in missing if path not in gone]

    def _workspace_status(self, unit: Unit, seen: Observation) -> str | None:
        if not unit.is_execution:
            return None
        try:
            found = workspace_of(unit, seen.owner, self.settings)
        except RefusedError:
            return None  # of another catalog: `check_ours` says so once the unit is complete
        return found.execution_status(unit.name) if found else None
