"""Which files of an uploaded unit may go, as far as is known here, and why the others may not."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Final

from deriva_watch.cleanup.remover import Ground
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.removal.removal import Going, by_identity, going, holding, objection
from deriva_watch.core.states import FileState
from deriva_watch.edges.disk import scanner
from deriva_watch.edges.journal import Journal, Reader
from deriva_watch.pipeline.unit_reader import Intake

_AWAY: Final = {FileState.REMOVED, FileState.GONE}


@dataclass(frozen=True, slots=True)
class Sorter:
    """Sorts the files of units."""

    journal: Journal | Reader
    intake: Intake

    def sort(
        self,
        unit: ExecutionRecord,
        ground: Ground,
        files: Sequence[FileRecord],
        seen: Observation,
    ) -> tuple[list[Going], dict[str, RefusedError]]:
        """Return what may go as far as is known here, and why other files may not, by path."""
        left = self._left_beside(unit, ground, files, seen)
        there = [f for f in files if f.state not in _AWAY and f.path in seen.entries]
        goes = self._goes(unit, ground, seen, there)
        may_go: list[Going] = []
        stays: dict[str, RefusedError] = {}
        for file in there:
            beside = left.get("" if ground.whole else file.path.rpartition("/")[0])
            if beside is not None:
                show = f"`deriva-watch show {quote(unit.rid)}`"
                then = f"Mend or remove it ({show}); they go by themselves."
                why = f"{beside}, which is not in the catalog, lies beside them"
                stays[file.path] = RefusedError(
                    f"files of {unit.called} stay where they are", why, then
                )
                continue
            found = objection(file) or goes(file)
            if isinstance(found, Going):
                may_go.append(found)
            else:
                then = f"`deriva-watch show {quote(unit.rid)}` tells more."
                stays[file.path] = RefusedError(f"{file.path} stays where it is", found, then)
        if left and ground.is_ml:
            raise next(iter(stays.values()))
        return may_go, stays

    def _goes(
        self,
        unit: ExecutionRecord,
        ground: Ground,
        seen: Observation,
        files: Sequence[FileRecord],
    ) -> Callable[[FileRecord], Going | str]:
        """Return what tells what goes of a file, or why it stays."""
        if not ground.is_ml:
            return lambda file: Going(file, file.path)
        root, names = os.path.realpath(seen.root), by_identity(seen)
        shared = self.journal.shared(unit.id)
        several = Counter(seen.entries[file.path].identity for file in files)

        def goes(file: FileRecord) -> Going | str:
            identity = seen.entries[file.path].identity
            if several[identity] > 1:
                return "several assets of this execution are this one file"
            if file.stamp in shared:
                return "a link of another execution leads to it"
            return going(file, seen, root, names)

        return goes

    def _left_beside(
        self,
        unit: ExecutionRecord,
        ground: Ground,
        files: Sequence[FileRecord],
        seen: Observation,
    ) -> dict[str, str]:
        """Return by folder what lies there and is not in the catalog; "" is the unit's own."""
        if ground.whole:  # what is not in may be known by its neighbours alone
            left = holding(files, seen, ground.markers)
            return {} if left is None else {"": left}
        known = set(self.journal.left_out(unit.server, unit.prefix))
        ignores = scanner.ignores(self.intake.directory(ground.top, unit.rid).policy)
        found: dict[str, str] = {}
        for folder in {path.rpartition("/")[0] for path in seen.entries}:
            for place in (ground.top / folder).iterdir():
                path = f"{folder}/{place.name}".lstrip("/")
                is_left = path in known or (ignores(place.name) and not place.is_dir())
                if is_left and path not in ground.markers:
                    found[folder] = path
        return found
