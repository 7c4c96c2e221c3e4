"""Finds out which files a removal would remove now: everything is checked, nothing is changed."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from deriva_watch.cleanup.eligibility import Eligibility
from deriva_watch.cleanup.file_removal import FileRemoval, still_open
from deriva_watch.cleanup.policy import Policy
from deriva_watch.cleanup.proof import Proof
from deriva_watch.cleanup.remover import TOGETHER
from deriva_watch.core.error_effects import Effect, classify
from deriva_watch.core.errors import FileChangedError, RefusedError, TroubleError
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.removal.removal import Removable
from deriva_watch.edges.disk.removal import InPlace
from deriva_watch.edges.journal import Reader
from deriva_watch.pipeline.unit_reader import UnitReader

_NEVER_REACHED: Final = "its execution is uploaded again first"


@dataclass(slots=True)
class Rehearsed:
    """What a removal would do with the files of a unit.

    Attributes:
        files: Those that would be removed.
        stays: Why others would stay, by path.
        why: Why none would be removed, where that concerns all of them.
    """

    files: list[FileRecord] = field(default_factory=list)
    stays: dict[str, str] = field(default_factory=dict)
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Does what `UnitCleaner` and `Remover` do with a unit, up to the removal.

    Attributes:
        moved: Called with the number of files that were checked since its last call.
    """

    journal: Reader
    unit_reader: UnitReader
    proof: Proof
    moved: Callable[[int], None]

    def rehearse(self, unit: ExecutionRecord, policy: Policy) -> Rehearsed:
        """Check all files of an uploaded unit.

        Raises the errors that would stop every removal, such as ServerAwayError.
        """
        found = Rehearsed()
        try:
            self._rehearse(unit, policy, found)
        except (TroubleError, OSError) as error:
            failure = classify(error, f"cannot check {unit.label}")
            if failure.effect in {Effect.STOP_ALL, Effect.FATAL}:
                raise
            found.why = failure.trouble.why if failure.trouble else str(error)
        return found

    def _rehearse(self, unit: ExecutionRecord, policy: Policy, found: Rehearsed) -> None:
        may_go, stays = Eligibility(self.journal, self.unit_reader).look(unit, policy)
        found.stays |= {path: error.why for path, error in stays.items()}
        for start in range(0, len(may_go), TOGETHER):
            group = may_go[start : start + TOGETHER]
            if self._is_reopened(unit, policy, group, found):
                rest = may_go[start + TOGETHER :]
                found.stays |= {each.file.path: _NEVER_REACHED for each in rest}
                return

    def _is_reopened(
        self,
        unit: ExecutionRecord,
        policy: Policy,
        group: Sequence[Removable],
        found: Rehearsed,
    ) -> bool:
        """Check a few files; return whether the unit would have to be uploaded again."""
        removals = [FileRemoval.of(each, policy, InPlace) for each in group]
        with ExitStack() as stack:
            self.proof.prove(unit, policy, removals, stack)
        self.moved(len(removals))
        found.files += [each.file for each in still_open(removals)]
        for each in removals:
            if error := each.error:
                why = error.why if isinstance(error, RefusedError) else str(error)
                found.stays[each.file.path] = why
        return any(isinstance(each.error, FileChangedError) for each in removals)
