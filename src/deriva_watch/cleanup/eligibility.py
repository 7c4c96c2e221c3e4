"""Decides from journal and disk which files of an uploaded unit may be removed."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from shlex import quote
from typing import Final

from deriva_watch.cleanup.policy import Policy
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.removal.removal import (
    Removable,
    blocking_path,
    by_identity,
    reason_to_keep,
    removable,
)
from deriva_watch.core.states import FileState
from deriva_watch.edges.disk import open_folders
from deriva_watch.edges.journal import Journal, Reader
from deriva_watch.pipeline.unit_reader import UnitReader

_AWAY: Final = {FileState.REMOVED, FileState.GONE}


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Separates the files of a unit that may be removed from those that stay."""

    journal: Journal | Reader
    unit_reader: UnitReader

    def look(
        self, unit: ExecutionRecord, policy: Policy
    ) -> tuple[list[Removable], dict[str, RefusedError]]:
        """Look at a unit and return the same as `sort`.

        Raises RefusedError also if the unit is gone or has changed since it was uploaded.
        """
        seen = self.unit_reader.look(self.unit_reader.settings.unit_of(unit))
        if seen is None or seen.digest() != unit.digest:
            is_gone = seen is None
            why = "is not there" if is_gone else "has changed since it was uploaded"
            what, then = f"files of {unit.label} are kept", "Nothing to do: it is looked at again."
            raise RefusedError(what, f"its directory {why}", then)
        return self.sort(unit, policy, self.journal.files(unit.id), seen)

    def sort(
        self,
        unit: ExecutionRecord,
        policy: Policy,
        files: Sequence[FileRecord],
        seen: Observation,
    ) -> tuple[list[Removable], dict[str, RefusedError]]:
        """Return the files that may be removed, and by path why each of the others stays.

        The server has not been asked yet. Raises RefusedError where a file that is not in the
        catalog keeps all files of an execution directory.
        """
        here = [f for f in files if f.state not in _AWAY and f.path in seen.entries]
        left_out = self._left_out(unit, policy, files, seen) if here else {}
        if left_out and policy.is_execution:
            raise _kept_by(unit, left_out[""])
        check = self._names_check(unit, policy, seen, here)
        may_go: list[Removable] = []
        kept: dict[str, RefusedError] = {}
        for file in here:
            beside = left_out.get("" if policy.whole else file.path.rpartition("/")[0])
            if beside is not None:
                kept[file.path] = _kept_by(unit, beside)
                continue
            found = reason_to_keep(file) or check(file)
            if isinstance(found, Removable):
                may_go.append(found)
            else:
                then = f"`deriva-watch show {quote(unit.rid)}` shows its state."
                kept[file.path] = RefusedError(f"{file.path} is kept", found, then)
        return may_go, kept

    def _names_check(
        self,
        unit: ExecutionRecord,
        policy: Policy,
        seen: Observation,
        files: Sequence[FileRecord],
    ) -> Callable[[FileRecord], Removable | str]:
        """Return a function that finds all names of a file, or the reason why it stays."""
        if not policy.is_execution:
            return lambda file: Removable(file, file.path)
        root, names = os.path.realpath(seen.root), by_identity(seen)
        shared = self.journal.shared_stamps(unit.id)
        uses = Counter(seen.entries[file.path].identity for file in files)

        def check(file: FileRecord) -> Removable | str:
            if uses[seen.entries[file.path].identity] > 1:
                return "several assets of this execution share this file"
            if file.stamp in shared:
                return "another execution has a link to it"
            return removable(file, seen, root, names)

        return check

    def _left_out(
        self,
        unit: ExecutionRecord,
        policy: Policy,
        files: Sequence[FileRecord],
        seen: Observation,
    ) -> dict[str, str]:
        """Return for each folder a file in it that is not in the catalog.

        Where the whole folder is the unit's own, its only key is "".
        """
        if policy.whole:  # the files beside it may be all that explains a file left out
            left = blocking_path(files, seen, policy.markers)
            return {} if left is None else {"": left}
        known = set(self.journal.left_out(unit.server, unit.prefix))
        directory = self.unit_reader.directory(self.unit_reader.settings.unit_of(unit))
        ignores = directory.policy.ignores(str(directory.root), None)
        found: dict[str, str] = {}
        for folder in {path.rpartition("/")[0] for path in seen.entries}:
            with suppress(RefusedError):  # behind a link: each file there is kept for that reason
                for name, is_dir in open_folders.listed(policy.top, folder).items():
                    path = f"{folder}/{name}".lstrip("/")
                    is_left = path in known or (ignores.on_way(path) and not is_dir)
                    if is_left and path not in policy.markers:
                        found[folder] = path
        return found


def _kept_by(unit: ExecutionRecord, path: str) -> RefusedError:
    """Return why files stay beside *path*."""
    show = f"`deriva-watch show {quote(unit.rid)}`"
    return RefusedError(
        f"files of {unit.label} are kept",
        f"{path}, beside them, is not in the catalog",
        f"Fix or remove that file ({show}); the others are then removed automatically.",
    )
