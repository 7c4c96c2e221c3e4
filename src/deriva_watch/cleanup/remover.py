"""Takes the files of an uploaded unit away: set aside, verified here and on the server, removed.

Before a file is touched the journal knows that it is about to be; afterwards it knows how that
ended. A crash between the two leaves a file that is put back, or one that is gone and verified.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deriva_watch.cleanup.removal_result import Ended, OtherContentError, check_writers
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import InterruptedWorkError, RefusedError
from deriva_watch.core.events import Emit, FileRestored
from deriva_watch.core.records import (
    Change,
    ExecutionFacts,
    ExecutionRecord,
    FileFacts,
    FileRecord,
    MoveExecution,
    MoveFile,
    NoteExecution,
    NoteFile,
)
from deriva_watch.core.removal.removal import Going, with_removed, without
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger
from deriva_watch.edges.disk import dangling_links, open_folders, removal, restore
from deriva_watch.edges.disk.removal import Aside
from deriva_watch.edges.journal import Journal
from deriva_watch.engine.content import digests
from deriva_watch.engine.ports import Catalog
from deriva_watch.engine.server_check import Standing

TOGETHER: Final = 32  # files that are aside at a time: each holds three descriptors
_THEN: Final = "Nothing to do: it is uploaded again."


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the files of a unit may be removed.

    Attributes:
        top: The folder that nothing outside of is touched.
        base: What the paths of the unit's files begin with below *top*: "" or "run 7/".
        move: To `MOVED`; else they are deleted.
        whole: The folder *base* is the unit's own: one file that is left out holds back all of
            it, and what is empty in the end is removed.
        markers: Names of files that say "done" and hold nothing back.
        is_ml: It is an execution directory of deriva-ml: links are names of its files, and what
            is never removed, such as files of rows, holds nothing back.
    """

    top: Path
    base: str
    move: bool
    whole: bool
    markers: frozenset[str] = frozenset()
    is_ml: bool = False

    @property
    def above(self) -> int:
        """How many folders below *top* stay, also empty: what is left of an execution is one."""
        return self.base.count("/") if self.is_ml else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a group of files.

    Attributes:
        seen: The unit as it is now.
        reopened: Something of it must be uploaded again, or changed.
        kept: Why a file of it stays, None where none does.
    """

    seen: Observation
    reopened: bool
    kept: RefusedError | None


@dataclass(frozen=True, slots=True)
class Remover:
    """Removes files of one catalog's units."""

    journal: Journal
    catalog: Catalog
    standing: Standing
    look: Callable[[Path, str], Observation | None]
    emit: Emit
    stop: threading.Event

    def remove(
        self, unit: ExecutionRecord, ground: Ground, going: Sequence[Going], seen: Observation
    ) -> Outcome:
        """Remove those of a few files of an uploaded unit that may go, and write down which.

        Args:
            unit: The unit.
            ground: Where its files may be removed.
            going: Files of it that `core.removal.objection` has nothing against.
            seen: A look at the unit that is just what was uploaded.

        Raises what concerns more than these files, once all of them are back.
        """
        self.journal.commit([NoteFile(each.file.id, {"removal": each.note()}) for each in going])
        files = [each.file for each in going]
        asides = {each.file.path: _aside(ground, each) for each in going}
        ended, error = Ended(), None
        try:
            with ExitStack() as stack:
                self._set_aside(ground, going, asides, stack, ended)
                check_writers(ended.open(files), asides, ended)  # before much is read for nothing
                self._read_all(ended.open(files), asides, ended)
                self._ask_server(unit, ended.open(files), ended)
                self._finish(ground, going, asides, ended)
        except Exception as stopped:  # noqa: BLE001  # what was removed is written down first
            error = stopped
        for aside in asides.values():
            self._tell(unit, restore.Back(aside.path, aside.put_to or aside.path))
        outcome = self._write_down(unit, going, asides, ended, seen)
        if ground.whole:
            for each in going:
                for name in each.names if each.file.path in ended.removed else ():
                    open_folders.prune(ground.top, ground.base + name, above=ground.above)
        if error:
            raise error
        return outcome

    def recover(self, unit: ExecutionRecord, ground: Ground, files: Sequence[FileRecord]) -> bool:
        """Put back, or write down as removed, *files* whose removal was begun and not ended.

        Returns whether it is known of all of them what became of them.
        """
        begun = [Going.begun(file) for file in files]
        paths = {ground.base + each.place: each for each in begun}
        names = {ground.base + name for each in begun for name in (each.place, *each.links)}
        for path in {path.rpartition("/")[0]: path for path in names}.values():
            for back in restore.put_back_in(ground.top, path):
                self._tell(unit, back)
        changes: list[Change] = []
        gone: list[Going] = []
        for path, each in paths.items():
            is_there = restore.whereabouts(ground.top, path, each.file.stamp)
            if is_there is None:
                continue  # that is found out later
            if not is_there and each.file.state is FileState.LINKED:
                dangling_links.remove(ground.top, [ground.base + link for link in each.links])
                to = restore.moved_to(ground.top, path, each.file.stamp)
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

    def _set_aside(
        self,
        ground: Ground,
        going: Iterable[Going],
        asides: Mapping[str, Aside],
        stack: ExitStack,
        ended: Ended,
    ) -> None:
        for each in going:
            with ended.noting(each.file.path):
                dangling_links.check(ground.top, [ground.base + link for link in each.links])
                stack.enter_context(asides[each.file.path])

    def _read_all(
        self, files: Iterable[FileRecord], asides: Mapping[str, Aside], ended: Ended
    ) -> None:
        for file in files:
            with ended.noting(file.path):
                self._read(asides[file.path], file)

    def _read(self, aside: Aside, file: FileRecord) -> None:
        def moved(_: int) -> None:
            if self.stop.is_set():
                raise InterruptedWorkError("stopping")
            aside.check()

        with removal.explained(file.path), aside.body() as body:
            found = digests(body, moved)
        if (found.md5, found.sha256) != (file.md5, file.sha256):
            raise OtherContentError(f"{file.path} is another content than what was uploaded")

    def _ask_server(self, unit: ExecutionRecord, files: Sequence[FileRecord], ended: Ended) -> None:
        if files:
            model = self.catalog.model()
            found = self.standing.differences(model, files, unit.links_to)
            ended.differing |= {path: "; ".join(why) for path, why in found.items()}

    def _finish(
        self, ground: Ground, going: Iterable[Going], asides: Mapping[str, Aside], ended: Ended
    ) -> None:
        """Remove what nothing was found against, each after a last look."""
        check_writers(ended.open(each.file for each in going), asides, ended)
        for each in going:
            if not ended.open([each.file]):
                continue
            with ended.noting(each.file.path):
                aside = asides[each.file.path]
                to = aside.move() if ground.move else None
                if not ground.move:
                    aside.unlink()
                ended.removed[each.file.path] = to
                dangling_links.remove(ground.top, [ground.base + link for link in each.links])

    # ------------------------------------------------------------------ what is known then

    def _write_down(
        self,
        unit: ExecutionRecord,
        going: Sequence[Going],
        asides: Mapping[str, Aside],
        ended: Ended,
        seen: Observation,
    ) -> Outcome:
        changes: list[Change] = []
        for each in going:
            file = each.file
            if file.path in ended.removed:
                noted: FileFacts = {"removal": each.note(ended.removed[file.path])}
                changes.append(MoveFile(file.id, FileTrigger.REMOVED, noted))
            elif file.path in ended.differing:
                changes.append(_differing(file, ended.differing[file.path]))
            elif not asides[file.path].is_aside:  # or it stays known that it lies aside
                said: FileFacts = {**ended.said(file.path), "removal": None}
                changes.append(NoteFile(file.id, said))
        gone = (each for each in going if each.file.path in ended.removed)
        seen = without(seen, [name for each in gone for name in each.names])
        is_closed = self.journal.execution(unit.id).state is ExecutionState.UPLOADED
        why = next(iter((ended.differing | ended.changed).values()), None)
        if is_closed and why:
            facts: ExecutionFacts = {
                "what": f"not all files of {unit.called} may be removed",
                "why": why,
                "next": _THEN,
            }
            facts["digest"] = None
            changes.append(MoveExecution(unit.id, ExecutionTrigger.CHANGED, facts))
        elif is_closed and ended.removed:
            changes.append(NoteExecution(unit.id, {"digest": seen.digest()}))
        self.journal.commit(changes)
        reopened = why is not None or not is_closed
        return Outcome(seen, reopened, next(iter(ended.kept.values()), None))

    def _unchanged(self, unit: ExecutionRecord, gone: Sequence[Going]) -> list[Change]:
        """Return what makes the removal of *gone* no change of the unit, if nothing else did."""
        if not gone or unit.state is not ExecutionState.UPLOADED:
            return []
        seen = self.look(Path(unit.prefix), unit.rid)
        if seen is None or with_removed(seen, gone).digest() != unit.digest:
            return []
        return [NoteExecution(unit.id, {"digest": seen.digest()})]

    def _tell(self, unit: ExecutionRecord, back: restore.Back) -> None:
        """Report what is not where it was."""
        if back.now != back.path:
            told = FileRestored(prefix=unit.prefix, path=back.path, now=back.now, why=back.why)
            self.emit(told)


def _aside(ground: Ground, going: Going) -> Aside:
    return Aside(ground.top, ground.base + going.place, going.file.stamp)


def _differing(file: FileRecord, why: str) -> MoveFile:
    what = f"{file.path} is uploaded, and stays where it is"
    facts: FileFacts = {"what": what, "why": why, "next": _THEN, "removal": None}
    return MoveFile(file.id, FileTrigger.CHANGED, facts)
