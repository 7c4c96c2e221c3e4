"""Looks at one unit and writes the result into the journal.

Events, rescans and the start all lead here: what is on the disk decides, not what was reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from deriva_watch.core.changes import DropDigests, MoveExecution, NoteExecution
from deriva_watch.core.completeness.completion import Complete, Incomplete, Refuse, judge
from deriva_watch.core.completeness.observation import Kind, Observation
from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import CredentialError, RefusedError, TransientError
from deriva_watch.core.events import Emit, NoticeAdded
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord
from deriva_watch.core.states import ExecutionState, ExecutionTrigger
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.journal import Journal
from deriva_watch.pipeline.build import Parts
from deriva_watch.pipeline.ownership import Executions, check_ours
from deriva_watch.pipeline.unit_paths import is_ignored, unusable_name
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings
from deriva_watch.watch.batch_former import BatchFormer
from deriva_watch.watch.evidence_history import EvidenceHistory
from deriva_watch.watch.folder_cache import FolderCache
from deriva_watch.watch.look_queue import Looked
from deriva_watch.watch.prehash import Prehash, earliest
from deriva_watch.watch.questions import Questions, called
from deriva_watch.watch.reread import Rereader

_WATCHED: Final = {  # a change of the unit moves these back to filling
    ExecutionState.READY,
    ExecutionState.WAITING,
    ExecutionState.UPLOADED,
    ExecutionState.REFUSED,
}
_FINISHED: Final = {ExecutionState.UPLOADED, ExecutionState.REFUSED}


@dataclass(slots=True)
class Inspector:
    """Looks at units and moves their executions as far as `ready`.

    Attributes:
        settings: Name the server, and tell the unit of a record.
        journal: Keeps the states of executions.
        server: The "host/catalog" that they are kept under.
        catalog: Knows the executions.
        unit_reader: Reads units.
        history: Remembers what earlier looks found.
        batch_former: Looks at the loose files of drop folders.
        folder_cache: Knows the finished units that a rescan can skip.
        policy: When a unit counts as complete, by `[completion]`.
        emit: Where notices go.
        prehash: Hashes files before a unit is complete; None: nothing does.
        rereader: Reads uploaded files again whose change time alone moved; None: nothing does.
    """

    settings: Settings
    journal: Journal
    server: str
    catalog: Executions
    unit_reader: UnitReader
    history: EvidenceHistory
    batch_former: BatchFormer
    folder_cache: FolderCache[Unit]
    policy: CompletionPolicy
    emit: Emit
    prehash: Prehash | None = None
    rereader: Rereader | None = None
    _passed: set[Unit] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        parts: Parts,
        policy: CompletionPolicy,
        prehash: Prehash | None = None,
        rereader: Rereader | None = None,
    ) -> "Inspector":
        """Build one, and what it works with, for the catalog of *parts*."""
        journal, server, reader = parts.journal, parts.server, parts.unit_reader
        folder_cache = FolderCache[Unit]()
        asked = Questions(parts.catalog, called(parts.settings.server.host))
        history = EvidenceHistory(journal, asked, parts.settings, reader, parts.breaker)
        return cls(
            settings=parts.settings,
            journal=journal,
            server=server,
            catalog=asked,
            unit_reader=reader,
            history=history,
            batch_former=BatchFormer(
                journal, server, reader, folder_cache, prehash, notices_edits=rereader is not None
            ),
            folder_cache=folder_cache,
            policy=policy,
            emit=parts.emit,
            prehash=prehash,
            rereader=rereader,
        )

    def look(self, unit: Unit, newer_than: datetime | None = None) -> Looked:
        """Look once; a new unit that last changed before *newer_than* is passed over.

        Raises ServerAwayError, CredentialError, TransientError or AnswerPendingError when the
        server or deriva-ml's workspace must be asked and does not answer; nothing is decided then.
        """
        if unit.drop and unit.kind is UnitKind.LOOSE:
            return self.batch_former.look(unit.drop, unit.policy(self.policy))
        if is_ignored(unit, self.settings) and not self._is_known(unit):
            return Looked()
        return Looked(self._look(unit, newer_than))

    def _look(self, unit: Unit, newer_than: datetime | None) -> datetime | None:
        drop = unit.drop
        seen = self.unit_reader.look(unit)
        if error := unusable_name(unit):
            if seen is None:
                return None
            raise _of_no_name(error, drop)  # it may be renamed
        record = self.journal.find(self.server, str(unit.prefix), unit.name)
        if seen is None:
            away = self.unit_reader.is_away(unit)
            if not (away or (drop and record and self.batch_former.is_unmounted(drop, record))):
                self._gone(unit, record)
            return None  # if its root comes back, a scan finds it
        if record is None:
            if self._passes_over(unit, seen, newer_than):
                return None
            record = self.journal.open_execution(
                self.server, str(unit.prefix), unit.name, drop.unit if drop else None
            )
        unit = self.settings.unit_of(record)  # it may be confirmed
        record = self._reopened(unit, record, seen)
        if record.state in _FINISHED:
            self.folder_cache.keep(unit, seen)
        else:
            self.folder_cache.forget(unit)
        if record.state is not ExecutionState.FILLING:
            self._forget(unit, record)
            return None
        partial = unit.partial_paths(seen, self.policy.partial)
        hash_at = self._hash_ahead(unit, record, seen, partial)  # also while the server is away
        try:
            judge_at = self._judge(unit, record, seen, partial)
        except (TransientError, CredentialError):
            self._note_files(record, seen)
            raise
        return earliest(judge_at, hash_at) if judge_at else None

    def _is_known(self, unit: Unit) -> bool:
        if unusable_name(unit):
            return False
        return self.journal.find(self.server, str(unit.prefix), unit.name) is not None

    def _hash_ahead(
        self, unit: Unit, record: ExecutionRecord, seen: Observation, partial: Sequence[str]
    ) -> datetime | None:
        if self.prehash is None:
            return None
        disk = self.unit_reader.directory(unit)
        return self.prehash.consider(record, disk, seen, set(partial))

    def _forget(self, unit: Unit, record: ExecutionRecord) -> None:
        """Forget what is needed only while a unit is filling."""
        self.history.forget(unit)
        if self.prehash:
            self.prehash.forget(record.id)

    def _reopened(self, unit: Unit, record: ExecutionRecord, seen: Observation) -> ExecutionRecord:
        """Return the record, moved if its unit has come back or has changed."""
        if record.state is ExecutionState.GONE:
            return self.journal.move(record, ExecutionTrigger.APPEARED)
        if record.state in _WATCHED and seen.digest() != record.digest:
            hold = Hold.of(record.held)
            if hold and hold.kind is HoldKind.CANCELLED:
                return self._changed_after_cancel(record, seen, hold)
            return self.journal.move(
                record, ExecutionTrigger.CHANGED, {"digest": None, "next_at": None}
            )
        if self.rereader and record.state in _FINISHED and not Hold.of(record.held):
            return self.rereader.consider(unit, record, seen)
        return record

    def _changed_after_cancel(
        self, record: ExecutionRecord, seen: Observation, hold: Hold
    ) -> ExecutionRecord:
        """Report that files of a cancelled unit have changed: it stays cancelled."""
        said = hold.sentence(record.rid)
        facts: ExecutionFacts = {"digest": seen.digest()}
        if record.digest is not None:
            facts["why"] = f"{said['why']}; its files have changed since"
            told = f"it is {said['what']}, so its changed files are not uploaded. {said['next']}"
            event = NoticeAdded(execution=record.rid, about="the directory", why=told)
            self.emit(event)
        self.journal.commit([NoteExecution(record.id, facts)])
        return self.journal.execution(record.id)

    def _passes_over(self, unit: Unit, seen: Observation, limit: datetime | None) -> bool:
        """Return whether a unit last changed before *limit*, and report it once."""
        if limit is None or seen.changed_at() >= limit:
            return False
        self.folder_cache.keep(unit, seen)
        if unit not in self._passed:
            self._passed.add(unit)
            last, since = seen.changed_at().astimezone(), limit.astimezone()
            why = f"it is not uploaded: it last changed {last:%Y-%m-%d %H:%M}, before newer_than"
            why += f" ({since:%Y-%m-%d %H:%M})"
            self.emit(NoticeAdded(execution=unit.name, about="the directory", why=why))
        return True

    def forget_all(self) -> None:
        """Forget since when each unit is unchanged: the clock was set."""
        self.history.forget_all()
        self.folder_cache.clear()
        self.batch_former.forget_all()
        if self.prehash:
            self.prehash.forget_all()

    def _gone(self, unit: Unit, record: ExecutionRecord | None) -> None:
        self.folder_cache.forget(unit)
        if record:
            self._forget(unit, record)
        # A worker that uploads it finds out by itself.
        if record and record.state not in {ExecutionState.GONE, ExecutionState.UPLOADING}:
            if (record.removal or {}).get("done"):
                return  # we removed it ourselves after the upload
            moved = MoveExecution(record.id, ExecutionTrigger.REMOVED)
            self.journal.commit([moved, DropDigests(record.id)])

    def _judge(
        self, unit: Unit, record: ExecutionRecord, seen: Observation, partial: Sequence[str]
    ) -> datetime | None:
        now = datetime.now(UTC)
        evidence = self.history.evidence(unit, record, seen, partial)
        policy = unit.policy(self.policy)
        answer, asked = judge(evidence, policy, now), False
        if isinstance(answer, Complete):  # the expensive evidence, gathered last
            last, asked = self.history.last(unit, record, evidence), True
            if last is None:
                return now  # the next look finds out why
            answer = judge(last, policy, now)
        verdict = {**answer.evidence, "why": answer.why}
        if not asked:
            del verdict["holders"], verdict["open"], verdict["missing_files"]
        if isinstance(answer, Incomplete):
            self._note(record, verdict, answer.look_again_at)
            return answer.look_again_at
        facts: ExecutionFacts = {
            "digest": verdict["digest"],
            "verdict": verdict,
            "next_at": None,
        }
        if error := self._refusal(unit, seen, answer):
            facts = {**facts, **error.sentence(record.rid)}
            self.journal.move(record, ExecutionTrigger.REFUSED, facts)
        else:
            self.journal.move(record, ExecutionTrigger.COMPLETED, facts)
        self._forget(unit, record)
        return None

    def _refusal(
        self, unit: Unit, seen: Observation, answer: Complete | Refuse
    ) -> RefusedError | None:
        """Return why a complete unit is not uploaded without a person, or None."""
        if isinstance(answer, Refuse):
            return RefusedError(answer.what, answer.why, answer.next)
        try:
            known = self.history.row(unit)
            check_ours(unit, seen.owner, self.settings, self.catalog, known)
        except RefusedError as error:
            return error
        return None

    def _note_files(self, record: ExecutionRecord, seen: Observation) -> None:
        """Keep for `status` how much there is, though nothing can be decided now."""
        sizes = [e.size_bytes for e in seen.entries.values() if e.kind is not Kind.IGNORED]
        known = {"files": len(sizes), "size_bytes": sum(sizes)}
        before = record.verdict or {}
        if known.items() - before.items():
            verdict = {**before, **known}
            self.journal.commit([NoteExecution(record.id, {"verdict": verdict})])

    def _note(self, record: ExecutionRecord, verdict: dict[str, object], at: datetime) -> None:
        """Keep for `show` why it is not complete yet."""
        facts: ExecutionFacts = {"verdict": verdict, "next_at": at}
        self.journal.commit([NoteExecution(record.id, facts)])


def _of_no_name(error: RefusedError, drop: Drop | None) -> TransientError:
    """Return the error for a unit whose name cannot be written into the journal."""
    if drop is None:
        return TransientError(error.what, error.why, error.next)
    what = f"cannot upload a directory in {drop.path}"
    return TransientError(what, "its name is not UTF-8", "Rename it.")
