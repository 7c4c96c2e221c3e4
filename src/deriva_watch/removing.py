"""Takes the files of an uploaded unit away: set aside, verified here and on the server, removed.

Before a file is touched the journal knows that it is about to be; afterwards it knows how that
ended. A crash between the two leaves a file that is put back, or one that is gone and verified.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.events import FilePutBack
from deriva_watch.core.observation import Entry, HolderMethod, Holders, Observation
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
from deriva_watch.core.removal import with_removed, without
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger
from deriva_watch.edges import folders, putting_back, removal
from deriva_watch.edges.holders import holders
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.removal import Aside
from deriva_watch.engine.content import digests
from deriva_watch.engine.patience import InterruptedWorkError
from deriva_watch.engine.ports import Catalog, Emit
from deriva_watch.engine.standing import Standing

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
    """

    top: Path
    base: str
    move: bool
    whole: bool
    markers: frozenset[str] = frozenset()


class _OtherContentError(FileChangedError):
    """It looks as it did, and its bytes are others."""


@dataclass(slots=True)
class _Ended:
    """How it ended with each file of a group, by path."""

    removed: dict[str, str | None] = field(default_factory=dict)  # where to
    changed: dict[str, str] = field(default_factory=dict)  # a look will tell
    differing: dict[str, str] = field(default_factory=dict)  # to be uploaded again
    kept: dict[str, RefusedError] = field(default_factory=dict)

    def open(self, files: Iterable[FileRecord]) -> list[FileRecord]:
        """Return those of *files* with which it has not ended yet."""
        ends = self.removed.keys() | self.changed.keys() | self.differing.keys() | self.kept.keys()
        return [file for file in files if file.path not in ends]

    @contextmanager
    def noting(self, path: str) -> Iterator[None]:
        """Take note of what ends it with one file."""
        try:
            yield
        except _OtherContentError as error:
            self.differing[path] = str(error)
        except FileChangedError as error:
            self.changed[path] = str(error)
        except RefusedError as error:
            self.kept[path] = error


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
        self, unit: ExecutionRecord, ground: Ground, files: Sequence[FileRecord], seen: Observation
    ) -> Outcome:
        """Remove those of a few *files* of an uploaded unit that may go, and write down which.

        Args:
            unit: The unit.
            ground: Where its files may be removed.
            files: Files of it that `core.removal.objection` has nothing against.
            seen: A look at the unit that is just what was uploaded.

        Raises what concerns more than these files, once all of them are back.
        """
        self.journal.commit([NoteFile(file.id, {"removal": {"to": None}}) for file in files])
        asides = {file.path: _aside(ground, file) for file in files}
        ended, error = _Ended(), None
        try:
            with ExitStack() as stack:
                self._set_aside(files, asides, stack, ended)
                _check_writers(ended.open(files), asides, ended)  # before much is read for nothing
                self._read_all(ended.open(files), asides, ended)
                self._ask_server(unit, ended.open(files), ended)
                self._finish(ground, asides, ended.open(files), ended)
        except Exception as stopped:  # noqa: BLE001  # what was removed is written down first
            error = stopped
        for aside in asides.values():
            self._tell(unit, putting_back.Back(aside.path, aside.put_to or aside.path))
        outcome = self._write_down(unit, files, asides, ended, seen)
        if ground.whole:
            for path in ended.removed:
                folders.prune(ground.top, ground.base + path, above=0)
        if error:
            raise error
        return outcome

    def recover(self, unit: ExecutionRecord, ground: Ground, files: Sequence[FileRecord]) -> bool:
        """Put back, or write down as removed, *files* whose removal was begun and not ended.

        Returns whether it is known of all of them what became of them.
        """
        paths = {ground.base + file.path: file for file in files}
        for path in {path.rpartition("/")[0]: path for path in paths}.values():
            for back in putting_back.put_back_in(ground.top, path):
                self._tell(unit, back)
        changes: list[Change] = []
        gone: list[FileRecord] = []
        for path, file in paths.items():
            is_there = putting_back.whereabouts(ground.top, path, file.stamp)
            if is_there is None:
                continue  # that is found out later
            if not is_there and file.state is FileState.LINKED:
                to = putting_back.moved_to(ground.top, path, file.stamp)
                changes.append(MoveFile(file.id, FileTrigger.REMOVED, {"removal": {"to": to}}))
                gone.append(file)
            else:
                changes.append(NoteFile(file.id, {"removal": None}))
        all_known = len(changes) == len(files)
        changes += self._unchanged(unit, gone)
        self.journal.commit(changes)
        return all_known

    # ------------------------------------------------------------------ the steps

    def _set_aside(
        self,
        files: Iterable[FileRecord],
        asides: Mapping[str, Aside],
        stack: ExitStack,
        ended: _Ended,
    ) -> None:
        for file in files:
            with ended.noting(file.path):
                stack.enter_context(asides[file.path])

    def _read_all(
        self, files: Iterable[FileRecord], asides: Mapping[str, Aside], ended: _Ended
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
            raise _OtherContentError(f"{file.path} is another content than what was uploaded")

    def _ask_server(
        self, unit: ExecutionRecord, files: Sequence[FileRecord], ended: _Ended
    ) -> None:
        if files:
            model = self.catalog.model()
            found = self.standing.differences(model, files, unit.links_to)
            ended.differing |= {path: "; ".join(why) for path, why in found.items()}

    def _finish(
        self,
        ground: Ground,
        asides: Mapping[str, Aside],
        files: Sequence[FileRecord],
        ended: _Ended,
    ) -> None:
        """Remove what nothing was found against, each after a last look."""
        _check_writers(files, asides, ended)
        for file in ended.open(files):
            with ended.noting(file.path):
                aside = asides[file.path]
                to = aside.move() if ground.move else None
                if not ground.move:
                    aside.unlink()
                ended.removed[file.path] = to

    # ------------------------------------------------------------------ what is known then

    def _write_down(
        self,
        unit: ExecutionRecord,
        files: Iterable[FileRecord],
        asides: Mapping[str, Aside],
        ended: _Ended,
        seen: Observation,
    ) -> Outcome:
        changes: list[Change] = []
        for file in files:
            if file.path in ended.removed:
                to = {"to": ended.removed[file.path]}
                changes.append(MoveFile(file.id, FileTrigger.REMOVED, {"removal": to}))
            elif file.path in ended.differing:
                changes.append(_differing(file, ended.differing[file.path]))
            elif not asides[file.path].is_aside:  # or it stays known that it lies aside
                changes.append(NoteFile(file.id, {"removal": None}))
        seen = without(seen, ended.removed)
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

    def _unchanged(self, unit: ExecutionRecord, gone: Sequence[FileRecord]) -> list[Change]:
        """Return what makes the removal of *gone* no change of the unit, if nothing else did."""
        if not gone or unit.state is not ExecutionState.UPLOADED:
            return []
        seen = self.look(Path(unit.prefix), unit.rid)
        if seen is None or with_removed(seen, gone).digest() != unit.digest:
            return []
        return [NoteExecution(unit.id, {"digest": seen.digest()})]

    def _tell(self, unit: ExecutionRecord, back: putting_back.Back) -> None:
        """Report what is not where it was."""
        if back.now != back.path:
            told = FilePutBack(prefix=unit.prefix, path=back.path, now=back.now, why=back.why)
            self.emit(told)


def _aside(ground: Ground, file: FileRecord) -> Aside:
    return Aside(ground.top, ground.base + file.path, file.stamp)


def _check_writers(files: Iterable[FileRecord], asides: Mapping[str, Aside], ended: _Ended) -> None:
    """Look into the processes for who writes to files that the kernel gives no lease of."""
    unsure, looks = [file for file in files if not asides[file.path].leased], {}
    for file in unsure:
        aside = asides[file.path]
        name = file.path.rpartition("/")[2]
        place = str(aside.folder / name)
        entries = {name: Entry(name, *file.stamp, target=place)}
        looks[file.path] = Observation(place, entries, datetime.now(UTC), {})
    found = holders(list(looks.values())) if looks else {}
    for file in unsure:
        with ended.noting(file.path):
            _check_held(file, found[looks[file.path].root])


def _check_held(file: FileRecord, held: Holders) -> None:
    if held.open:
        raise FileChangedError(f"{file.path} is opened for writing")
    if held.method is HolderMethod.UNKNOWN:
        raise folders.kept(
            file.path,
            "it cannot be known whether somebody has it open for writing",
            "Let deriva-watch run as the owner of the files, or as root.",
        )


def _differing(file: FileRecord, why: str) -> MoveFile:
    what = f"{file.path} is uploaded, and stays where it is"
    facts: FileFacts = {"what": what, "why": why, "next": _THEN, "removal": None}
    return MoveFile(file.id, FileTrigger.CHANGED, facts)
