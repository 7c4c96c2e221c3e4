"""Finds what journal and receipt know about uploaded executions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import RefusedError, TroubleError
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.removal.verification import Difference, Where
from deriva_watch.core.states import AT_REST
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.disk import receipts
from deriva_watch.edges.disk.open_folders import is_folder
from deriva_watch.edges.journal import Reader
from deriva_watch.pipeline.receipt_schema import Receipt, read
from deriva_watch.pipeline.unit_paths import watched
from deriva_watch.pipeline.unit_reader import UnitReader

_NOT_OURS: Final = "It proves nothing here: verify it with the settings of its own server."
_ONLY: Final = "or compare only the server, with --server-only."
_NO_FOLDER: Final = f"Add its folder to the settings, {_ONLY}"
_MOUNT: Final = f"Mount it, {_ONLY}"
_NO_FILES: Final = f"Put them back if they were moved, {_ONLY}"


@dataclass(frozen=True, slots=True)
class VerifyTarget:
    """One execution to verify.

    Attributes:
        rid: Its name in the journal, or else in the receipt.
        kept_as: The name of its receipt.
        record, files: What the journal knows, if anything.
        receipt: Its receipt, if there is one that can be read.
        wrong: What is wrong with the receipt.
    """

    rid: str
    kept_as: str
    record: ExecutionRecord | None
    files: tuple[FileRecord, ...]
    receipt: Receipt | None
    wrong: Difference | None = None

    @property
    def links_to(self) -> str | None:
        """RID of the Execution that its files are linked to."""
        if self.record:
            return self.record.links_to
        return self.receipt.linked_to if self.receipt else None


@dataclass(frozen=True, slots=True)
class VerifyTargets:
    """Finds the executions of one catalog.

    Attributes:
        reader: The journal; None where there is none.
        server: "host/catalog".
    """

    unit_reader: UnitReader
    reader: Reader | None
    server: str

    def named(self, rids: Iterable[str]) -> list[VerifyTarget]:
        """Return the executions *rids*; TroubleError for one that nobody knows."""
        found: list[VerifyTarget] = []
        for rid in dict.fromkeys(rids):
            known = [self._known(record) for record in self._records(rid)]
            found += known or [self._by_receipt(name) for name in self._kept_for(rid)]
        return found

    def _kept_for(self, rid: str) -> list[str]:
        """Return the names of the receipts of *rid*, which may be the name of a unit."""
        where = self.unit_reader.settings.state_directory
        names = receipts.receipt_names(where, self.server)
        if rid in names:
            return [rid]
        said = ((name, receipts.read_receipt(where, self.server, name)) for name in names)
        keys = ("unit", "execution", "linked_to")
        return [name for name, each in said if rid in map(each.get, keys)] or [rid]

    def all(self) -> Iterator[VerifyTarget]:
        """Yield every execution that is uploaded, refused or gone; files are read as needed.

        An execution that is not finished is neither uploaded nor lost.
        """
        records = self._records(None)
        names = {receipts.kept_as(record) for record in records}
        kept = receipts.receipt_names(self.unit_reader.settings.state_directory, self.server)
        yield from (self._known(record) for record in records if record.state in AT_REST)
        yield from (self._by_receipt(name) for name in kept if name not in names)

    def unfinished(self) -> int:
        """Return how many executions `all` leaves out."""
        return sum(record.state not in AT_REST for record in self._records(None))

    def _records(self, rid: str | None) -> list[ExecutionRecord]:
        found = self.reader.executions(rid=rid) if self.reader else []
        return [record for record in found if record.server == self.server]

    def _known(self, record: ExecutionRecord) -> VerifyTarget:
        files = tuple(self.reader.files(record.id)) if self.reader else ()
        name = receipts.kept_as(record)
        unit = self.unit_reader.settings.unit_of(record)
        receipt, wrong = self._receipt(name, [unit])
        return VerifyTarget(record.rid, name, record, files, receipt, wrong)

    def _by_receipt(self, name: str) -> VerifyTarget:
        """Return the target as a receipt describes it: the one kept here, or the copy."""
        settings, doubts = self.unit_reader.settings, list[str]()
        units = [settings.unit(prefix, name) for prefix in self._prefixes()]
        receipt, wrong = self._receipt(name, units, doubts.append)
        if receipt is None and wrong is None:
            raise TroubleError(
                f"cannot verify {name}",
                "; ".join(["neither the journal nor a receipt knows it", *doubts]),
                "`deriva-watch status` lists the executions.",
            )
        rid = (receipt.unit or receipt.execution) if receipt else name
        return VerifyTarget(rid, name, None, (), receipt, wrong)

    def _receipt(
        self, name: str, units: list[Unit], doubt: Callable[[str], None] | None = None
    ) -> tuple[Receipt | None, Difference | None]:
        where = self.unit_reader.settings.state_directory
        found: Any = receipts.read_receipt(where, self.server, name)
        for unit in units if not found else ():  # only a folder of its own has a copy
            found = found or self._copy(unit, doubt)
        if not found:
            return None, None
        try:
            said = read(found, name)
        except RefusedError as error:
            return None, Difference(Where.RECEIPT, None, error.what, error.why, error.next)
        if said.server != self.server:
            what, why = f"the receipt {name} belongs to another server", f"it names {said.server}"
            return None, Difference(Where.RECEIPT, None, what, why, _NOT_OURS)
        return said, None

    def _copy(self, unit: Unit, doubt: Callable[[str], None] | None) -> Mapping[str, Any]:
        if unit.kind not in {UnitKind.EXECUTION, UnitKind.DIRECTORY}:
            return {}  # what is there belongs to others
        directory = self.unit_reader.directory(unit)
        with suppress(OSError), directory.opened() as folder:
            return receipts.read_copy(folder, directory.trusted, doubt)
        return {}

    def _prefixes(self) -> list[Path]:
        """Return the folders that the settings name: a receipt could name any folder."""
        settings = self.unit_reader.settings
        return [*watched(settings), *settings.drops]

    def unit(self, target: VerifyTarget) -> Unit | None:
        """Return the unit, or None if nothing tells where it is.

        The prefix in a receipt counts only if the settings have it too; a unit of a drop folder
        needs its `[[drop]]`.
        """
        settings, receipt = self.unit_reader.settings, target.receipt
        if target.record:
            unit = settings.unit_of(target.record)
            return unit if unit.drop or not target.record.unit else None
        named, in_drop = (receipt.prefix, receipt.unit) if receipt else (None, None)
        roots = {str(prefix): prefix for prefix in self._prefixes()}
        if named in roots:
            unit = settings.unit(roots[named], target.rid)
            return unit if bool(unit.drop) == bool(in_drop) else None
        units = (settings.unit(prefix, target.rid) for prefix in roots.values())
        kinds = {UnitKind.DIRECTORY} if in_drop else {UnitKind.EXECUTION, UnitKind.TABLES}
        return next((each for each in units if each.kind in kinds and is_folder(each.root)), None)

    def look(self, target: VerifyTarget, unit: Unit | None) -> Observation | Difference | None:
        """Return the files of a unit that are here; None: they were removed.

        A Difference says why it cannot be told whether they are here.
        """
        what = f"cannot look for the files of {target.rid}"
        if unit is None:
            said = target.record.prefix if target.record else None
            folder = said or (target.receipt and target.receipt.directory) or "where they are"
            why = f"the settings have no [[watch]] or [[drop]] for {folder}"
            return Difference(Where.DISK, None, what, why, _NO_FOLDER)
        reader = self.unit_reader
        if unit.kind is UnitKind.BATCH and not target.record and target.receipt:
            paths = [line.path for line in target.receipt.files]
            paths += [line.path for line in target.receipt.left]
            reader = replace(reader, members=lambda _unit: paths)
        seen = reader.look(unit)
        if seen is None and reader.is_away(unit):
            return Difference(Where.DISK, None, what, f"there is no folder {unit.parent}", _MOUNT)
        lines = target.receipt.files if target.receipt and not target.record else ()
        if seen is None and any(line.state != "removed" for line in lines):
            why = f"nothing of it is in {unit.root}, and no journal says that it was removed"
            return Difference(Where.DISK, None, what, why, _NO_FILES)
        return seen
