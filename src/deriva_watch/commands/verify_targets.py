"""Finds what journal and receipt know about uploaded executions."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deriva_watch.core.errors import RefusedError, TroubleError
from deriva_watch.core.records import ExecutionRecord, FileRecord
from deriva_watch.core.removal.verification import Difference, Where
from deriva_watch.core.states import ExecutionState
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk import receipts
from deriva_watch.edges.journal import Reader
from deriva_watch.pipeline.receipt_schema import Receipt, read
from deriva_watch.pipeline.unit_paths import watched
from deriva_watch.pipeline.unit_reader import UnitReader

_NOT_OURS: Final = "It proves nothing here: verify it with the settings of its own server."
_AT_REST: Final = {ExecutionState.UPLOADED, ExecutionState.REFUSED, ExecutionState.GONE}


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
            found += known or [self._by_receipt(rid)]
        return found

    def all(self) -> Iterator[VerifyTarget]:
        """Yield every execution that is uploaded, refused or gone; files are read as needed.

        An execution that is not finished is neither uploaded nor lost.
        """
        records = self._records(None)
        names = {receipts.kept_as(record) for record in records}
        kept = receipts.receipt_names(self.unit_reader.settings.state_directory, self.server)
        yield from (self._known(record) for record in records if record.state in _AT_REST)
        yield from (self._by_receipt(name) for name in kept if name not in names)

    def unfinished(self) -> int:
        """Return how many executions `all` leaves out."""
        return sum(record.state not in _AT_REST for record in self._records(None))

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
        """Return what a receipt alone tells: the one kept here, or the copy beside the files."""
        units = [Unit(prefix, name) for prefix in self._prefixes()]
        receipt, wrong = self._receipt(name, units)
        if receipt is None and wrong is None:
            raise TroubleError(
                f"cannot verify {name}",
                "neither the journal nor a receipt knows it",
                "`deriva-watch status` lists the executions.",
            )
        rid = (receipt.unit or receipt.execution) if receipt else name
        return VerifyTarget(rid, name, None, (), receipt, wrong)

    def _receipt(self, name: str, units: list[Unit]) -> tuple[Receipt | None, Difference | None]:
        where = self.unit_reader.settings.state_directory
        found: Any = receipts.read_receipt(where, self.server, name)
        for unit in units if not found else ():
            found = found or self._copy(unit)
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

    def _copy(self, unit: Unit) -> Mapping[str, Any]:
        with suppress(OSError), self.unit_reader.directory(unit).opened() as folder:
            return receipts.read_copy(folder)
        return {}

    def _prefixes(self) -> list[Path]:
        """Return the folders that the settings name: a receipt could name any folder."""
        settings = self.unit_reader.settings
        return [*watched(settings), *settings.drops]

    def unit(self, target: VerifyTarget) -> Unit | None:
        """Return the unit, or None if nothing tells where it is.

        The prefix in a receipt counts only if the settings have it too.
        """
        settings = self.unit_reader.settings
        if target.record:
            return settings.unit_of(target.record)
        named = target.receipt.prefix if target.receipt else None
        roots = {str(prefix): prefix for prefix in self._prefixes()}
        if named in roots:
            return settings.unit(roots[named], target.rid)
        units = (Unit(prefix, target.rid) for prefix in roots.values())
        return next((unit for unit in units if unit.root.is_dir()), None)
