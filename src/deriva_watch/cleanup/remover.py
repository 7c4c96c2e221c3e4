"""Removes files of an uploaded unit: sets them aside, proves them here and on the server, removes.

The journal notes a removal before the file is touched, and its result afterwards. After a crash
between the two, the file is either put back or already gone, and then it was verified before.
"""

import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deriva_watch.cleanup.file_removal import UPLOADED_AGAIN, FileRemoval, still_open
from deriva_watch.cleanup.policy import Policy
from deriva_watch.cleanup.proof import Proof
from deriva_watch.core.changes import Change, MoveExecution, MoveFile, NoteExecution, NoteFile
from deriva_watch.core.completeness.observation import ASIDE_NAME, Observation
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.events import Emit, FileRestored
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord, FileFacts, FileRecord
from deriva_watch.core.removal.removal import Removable, with_removed, without
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger
from deriva_watch.edges.disk import open_folders, restore
from deriva_watch.edges.disk.scanning import dangling_links
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.ports import Catalog
from deriva_watch.engine.server_check import ServerCheck
from deriva_watch.pipeline.unit_reader import UnitReader

TOGETHER: Final = 32  # files that are aside at a time: each holds three descriptors


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result for a group of files.

    Attributes:
        seen: The unit as it is now.
        reopened: The unit must be looked at again: something of it changed.
        kept: Why a file stays, None where none does.
    """

    seen: Observation
    reopened: bool
    kept: RefusedError | None


@dataclass(frozen=True, slots=True)
class Remover:
    """Removes files of one catalog's units."""

    journal: Journal
    catalog: Catalog
    server_check: ServerCheck
    unit_reader: UnitReader
    emit: Emit
    stop: threading.Event

    @property
    def _proof(self) -> Proof:
        return Proof(self.server_check, self.catalog.model, self.stop)

    def remove(
        self,
        unit: ExecutionRecord,
        policy: Policy,
        removable: Sequence[Removable],
        seen: Observation,
    ) -> Outcome:
        """Remove those of a few files of an uploaded unit for which the proof succeeds.

        Args:
            unit: The unit.
            policy: Where its files may be removed, and how.
            removable: Files that `core.removal.reason_to_keep` allows to remove.
            seen: The unit as it is now, equal to what was uploaded.

        Raises errors that concern more than these files, after all files were put back.
        """
        removable = [replace(each, read_back=policy.read_back) for each in removable]
        begun = [NoteFile(each.file.id, {"removal": each.note()}) for each in removable]
        self.journal.commit(begun)
        removals = [FileRemoval.of(each, policy) for each in removable]
        error: Exception | None = None
        try:
            with ExitStack() as stack:
                self._proof.prove(unit, policy, removals, stack)
                self._finish(policy, still_open(removals))
        except Exception as stopped:  # noqa: BLE001  # the journal is told first what was removed
            error = stopped
        for aside in (each.aside for each in removals):
            self._report(unit, restore.Restored(aside.path, aside.put_to or aside.path))
        outcome = self._write_down(unit, removals, seen)
        if policy.whole:
            for path in _names(each for each in removals if each.is_removed):
                open_folders.prune(policy.top, policy.base + path, above=policy.kept_folders)
        if error:
            raise error
        return outcome

    def recover(self, unit: ExecutionRecord, policy: Policy, files: Sequence[FileRecord]) -> bool:
        """Find out how the removals of a dead process ended: files put back, or removed.

        Returns False where that cannot be found out now for all of *files*.
        """
        begun = [Removable.begun(file) for file in files]
        paths = {policy.base + each.place: each for each in begun}
        names = {policy.base + name for each in begun for name in (each.place, *each.links)}
        for path in {path.rpartition("/")[0]: path for path in names}.values():
            for back in restore.put_back_in(policy.top, path):
                self._report(unit, back)
        changes: list[Change] = []
        gone: list[Removable] = []
        for path, each in paths.items():
            is_there = restore.is_there(policy.top, path, each.file.device)
            if is_there is None:  # a later attempt finds out
                self._report_moved(unit, policy, path)
                continue
            if not is_there and each.file.state is FileState.LINKED:
                dangling_links.remove(policy.top, [policy.base + link for link in each.links])
                to = restore.moved_to(policy.top, path, each.file.stamp)
                noted: FileFacts = {"removal": each.note(to)}
                changes.append(MoveFile(each.file.id, FileTrigger.REMOVED, noted))
                gone.append(each)
            else:
                changes.append(NoteFile(each.file.id, {"removal": None}))
        all_known = len(changes) == len(files)
        changes += self._unchanged(unit, gone)
        self.journal.commit(changes)
        return all_known

    # ------------------------------------------------------------------ the steps

    def _finish(self, policy: Policy, removals: Iterable[FileRemoval]) -> None:
        """Remove the files that passed every check; the disk checks each once more."""
        for each in removals:
            with each.catching():
                if policy.move:
                    each.moved_to = each.aside.move()
                else:
                    each.aside.unlink()
                each.is_removed = True
                dangling_links.remove(policy.top, [policy.base + p for p in each.removable.links])

    # ------------------------------------------------------------------ the journal

    def _write_down(
        self, unit: ExecutionRecord, removals: Sequence[FileRemoval], seen: Observation
    ) -> Outcome:
        changes = [change for each in removals if (change := each.change())]
        removed = [each for each in removals if each.is_removed]
        errors = [each.error for each in removals if each.error]
        seen = without(seen, _names(removed))
        is_closed = self.journal.execution(unit.id).state is ExecutionState.UPLOADED
        changed = next((error for error in errors if isinstance(error, FileChangedError)), None)
        if is_closed and changed:
            facts: ExecutionFacts = {
                "what": f"not all files of {unit.label} can be removed",
                "why": str(changed),
                "next": UPLOADED_AGAIN,
                "digest": None,
            }
            changes.append(MoveExecution(unit.id, ExecutionTrigger.CHANGED, facts))
        elif is_closed and removed:
            changes.append(NoteExecution(unit.id, {"digest": seen.digest()}))
        self.journal.commit(changes)
        kept = next((error for error in errors if isinstance(error, RefusedError)), None)
        return Outcome(seen, changed is not None or not is_closed, kept)

    def _unchanged(self, unit: ExecutionRecord, gone: Sequence[Removable]) -> list[Change]:
        """Return a note of the new digest if nothing but the removal of *gone* changed the unit."""
        if not gone or unit.state is not ExecutionState.UPLOADED:
            return []
        seen = self.unit_reader.look(self.unit_reader.settings.unit_of(unit))
        if seen is None or with_removed(seen, gone).digest() != unit.digest:
            return []
        return [NoteExecution(unit.id, {"digest": seen.digest()})]

    def _report_moved(self, unit: ExecutionRecord, policy: Policy, path: str) -> None:
        """Report a file that was aside when the directory of its unit was moved away."""
        folder = policy.top / policy.base
        if open_folders.is_folder(folder.parent) and not open_folders.is_folder(folder):
            name = Path(path).name
            why = (
                f"{folder} was moved or deleted during its removal; where it is now, the file may "
                f"be {ASIDE_NAME}/{name}: move it to the folder above"
            )
            self.emit(FileRestored(prefix=unit.prefix, path=path, now=None, why=why))

    def _report(self, unit: ExecutionRecord, back: restore.Restored) -> None:
        """Report a file that is not where it was before."""
        if back.now != back.path:
            self.emit(FileRestored(prefix=unit.prefix, path=back.path, now=back.now, why=back.why))


def _names(removals: Iterable[FileRemoval]) -> list[str]:
    return [name for each in removals for name in each.removable.names]
