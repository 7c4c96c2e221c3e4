"""One look at one execution directory, and what follows from it for the journal.

An event, a rescan and the start all come here: what is on the disk decides, not what was reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deriva_watch.core.completeness.completion import Complete, Incomplete, Refuse, judge
from deriva_watch.core.completeness.evidence import CompletionPolicy
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.events import NoticeAdded
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.records import (
    DropDigests,
    ExecutionFacts,
    ExecutionRecord,
    MoveExecution,
    NoteExecution,
)
from deriva_watch.core.states import ExecutionState, ExecutionTrigger
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.pipeline.build import Parts
from deriva_watch.pipeline.ownership import check_ours
from deriva_watch.pipeline.unit_paths import unusable_name
from deriva_watch.watch.batch_former import BatchFormer
from deriva_watch.watch.evidence_history import EvidenceHistory
from deriva_watch.watch.folder_cache import FolderCache
from deriva_watch.watch.prehash import Prehash, earliest

_WATCHED: Final = {  # a change of the directory makes these look anew
    ExecutionState.READY,
    ExecutionState.WAITING,
    ExecutionState.UPLOADED,
    ExecutionState.REFUSED,
}
_FINISHED: Final = {ExecutionState.UPLOADED, ExecutionState.REFUSED}


@dataclass(slots=True)
class Inspector:
    """Looks at directories and units of drop folders, and moves executions as far as `ready`.

    Attributes:
        pipeline: What reads directories and knows the catalog.
        policy: When a directory counts as complete.
        prehash: Hashes what it can before a directory is complete; None: nothing.
        check: Raises while the server cannot be asked, so that not every look tries it.
        folder_cache: Which finished directories a rescan need not look into.
        newer_than: By prefix: what changed before then for the last time is passed over.
    """

    pipeline: Parts
    policy: CompletionPolicy
    check: Callable[[], None]
    prehash: Prehash | None = None
    folder_cache: FolderCache[Unit] = field(default_factory=FolderCache)
    batch_former: BatchFormer = field(init=False)
    newer_than: dict[Path, datetime] = field(default_factory=dict)
    _passed: set[Unit] = field(default_factory=set)
    _history: EvidenceHistory = field(init=False)

    def __post_init__(self) -> None:
        self._history = EvidenceHistory(self.pipeline, self.check)
        self.batch_former = BatchFormer(self.pipeline, self.folder_cache, prehash=self.prehash)

    def look(self, unit: Unit) -> datetime | None:
        """Look once; return when to look again by itself, None: only when something happens.

        Raises ServerAwayError, CredentialError or TransientError when the server or deriva-ml's
        workspace must be asked and does not answer; nothing is decided then.
        """
        drop = unit.drop
        if drop and unit.kind is UnitKind.LOOSE:
            return self.batch_former.look(drop, unit.policy(self.policy))
        seen = self.pipeline.unit_reader.look(unit)
        if error := unusable_name(unit):
            if seen is None:
                return None
            raise _of_no_name(error, drop)  # it may be renamed
        record = self.pipeline.journal.find(self.pipeline.server, str(unit.prefix), unit.name)
        if seen is None:
            away = self.pipeline.unit_reader.is_away(unit)
            if not (away or (drop and record and self.batch_former.is_unmounted(drop, record))):
                self._gone(unit, record)
            return None  # once its root is there again, it is looked at by itself
        if record is None:
            if self._passes_over(unit, seen):
                return None
            record = self.pipeline.journal.open_execution(
                self.pipeline.server, str(unit.prefix), unit.name, drop.unit if drop else None
            )
        unit = self.pipeline.settings.unit_of(record)  # it may be confirmed
        record = self._reopened(record, seen)
        if record.state in _FINISHED:
            self.folder_cache.keep(unit, seen)
        else:
            self.folder_cache.forget(unit)
        if record.state is not ExecutionState.FILLING:
            self._settled(unit, record)
            return None
        partial = unit.partial_paths(seen, self.policy.partial)
        hash_at = self._hash_ahead(unit, record, seen, partial)  # also while the server is away
        judge_at = self._judge(unit, record, seen, partial)
        return earliest(judge_at, hash_at) if judge_at else None

    def _hash_ahead(
        self, unit: Unit, record: ExecutionRecord, seen: Observation, partial: Sequence[str]
    ) -> datetime | None:
        if self.prehash is None:
            return None
        disk = self.pipeline.unit_reader.directory(unit)
        return self.prehash.consider(record, disk, seen, set(partial))

    def _settled(self, unit: Unit, record: ExecutionRecord) -> None:
        """Forget what only a directory that is filling needs."""
        self._history.forget(unit)
        if self.prehash:
            self.prehash.forget(record.id)

    def _reopened(self, record: ExecutionRecord, seen: Observation) -> ExecutionRecord:
        """Move an execution whose directory is there again, or is not what it was."""
        if record.state is ExecutionState.GONE:
            return self.pipeline.journal.move(record, ExecutionTrigger.APPEARED)
        if record.state in _WATCHED and seen.digest() != record.digest:
            hold = Hold.of(record.held)
            if hold and hold.kind is HoldKind.CANCELLED:
                return self._changed_in_vain(record, seen, hold)
            return self.pipeline.journal.move(
                record, ExecutionTrigger.CHANGED, {"digest": None, "next_at": None}
            )
        return record

    def _changed_in_vain(
        self, record: ExecutionRecord, seen: Observation, hold: Hold
    ) -> ExecutionRecord:
        """Tell of files that changed after a person had said no: it stays with that."""
        said = hold.sentence(record.rid)
        facts: ExecutionFacts = {"digest": seen.digest()}
        if record.digest is not None:
            facts["why"] = f"{said['why']}; its files have changed since"
            told = f"it is {said['what']}, and its files changed: they stay here. {said['next']}"
            event = NoticeAdded(execution=record.rid, about="the directory", why=told)
            self.pipeline.emit(event)
        self.pipeline.journal.commit([NoteExecution(record.id, facts)])
        return self.pipeline.journal.execution(record.id)

    def _passes_over(self, unit: Unit, seen: Observation) -> bool:
        """Tell whether a directory is too old to be taken, and say so once."""
        limit = self.newer_than.get(unit.prefix)
        if limit is None or seen.changed_at() >= limit:
            return False
        self.folder_cache.keep(unit, seen)
        if unit not in self._passed:
            self._passed.add(unit)
            last, since = seen.changed_at().astimezone(), limit.astimezone()
            why = f"it is passed over: it changed last {last:%Y-%m-%d %H:%M}, before newer_than"
            why += f" ({since:%Y-%m-%d %H:%M})"
            self.pipeline.emit(NoticeAdded(execution=unit.name, about="the directory", why=why))
        return True

    def forget(self) -> None:
        """Begin anew with every directory: since when it is quiet is not known any more."""
        self._history.forget_all()
        self.folder_cache = FolderCache()
        self.batch_former = replace(
            self.batch_former, folder_cache=self.folder_cache
        )  # it knows of no file any more
        if self.prehash:
            self.prehash.forget_all()

    def _gone(self, unit: Unit, record: ExecutionRecord | None) -> None:
        self.folder_cache.forget(unit)
        if record:
            self._settled(unit, record)
        # A worker that holds the directory finds out by itself.
        if record and record.state not in {ExecutionState.GONE, ExecutionState.UPLOADING}:
            if (record.removal or {}).get("done"):
                return  # by ourselves: all of it is where it belongs
            moved = MoveExecution(record.id, ExecutionTrigger.REMOVED)
            self.pipeline.journal.commit([moved, DropDigests(record.id)])

    def _judge(
        self, unit: Unit, record: ExecutionRecord, seen: Observation, partial: Sequence[str]
    ) -> datetime | None:
        now = datetime.now(UTC)
        evidence = self._history.evidence(unit, record, seen, partial)
        policy = unit.policy(self.policy)
        answer, asked = judge(evidence, policy, now), False
        if isinstance(answer, Complete):  # asked last: it may cost a look at every file
            evidence, asked = self._history.last(unit, record, evidence), True
            answer = judge(evidence, policy, now)
        verdict = {**answer.evidence, "why": answer.why}
        if not asked:
            del verdict["holders"], verdict["open"], verdict["awaited"]
        if isinstance(answer, Incomplete):
            self._note(record, verdict, answer.look_again_at)
            return answer.look_again_at
        facts: ExecutionFacts = {"digest": seen.digest(), "verdict": verdict, "next_at": None}
        if error := self._refusal(unit, answer):
            facts = {**facts, **error.sentence(record.rid)}
            self.pipeline.journal.move(record, ExecutionTrigger.REFUSED, facts)
        else:
            self.pipeline.journal.move(record, ExecutionTrigger.SETTLED, facts)
        self._settled(unit, record)
        return None

    def _refusal(self, unit: Unit, answer: Complete | Refuse) -> RefusedError | None:
        """Return why a directory that is complete is never sent by itself, or None."""
        if isinstance(answer, Refuse):
            return RefusedError(answer.what, answer.why, answer.next)
        try:
            check_ours(unit, self.pipeline.settings.server, self.pipeline.catalog)
        except RefusedError as error:
            return error
        return None

    def _note(self, record: ExecutionRecord, verdict: dict[str, object], at: datetime) -> None:
        """Keep why it is not complete yet, for `show`."""
        facts: ExecutionFacts = {"verdict": verdict, "next_at": at}
        self.pipeline.journal.commit([NoteExecution(record.id, facts)])


def _of_no_name(error: RefusedError, drop: Drop | None) -> TransientError:
    """Return what to say of a directory whose name the journal cannot have."""
    if drop is None:
        return TransientError(error.what, error.why, error.next)
    what = f"cannot upload a directory in {drop.path}"
    return TransientError(what, "its name is not UTF-8", "Rename it.")
