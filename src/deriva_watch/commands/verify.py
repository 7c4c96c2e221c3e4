"""Compares what was uploaded with what the server has now, and changes nothing.

It works beside a daemon, and with the receipts alone if there is no journal. Anybody may have
changed a receipt: it says what to ask for, and proves nothing.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, Final

from deriva_watch.commands.verify_rows import RowVerifier
from deriva_watch.commands.verify_targets import VerifyTarget, VerifyTargets
from deriva_watch.core.completeness.observation import Entry, Kind, Observation
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.layout import label_of
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.names import CONTENT_PATH
from deriva_watch.core.os_errors import reason
from deriva_watch.core.records import FileRecord
from deriva_watch.core.removal.verification import (
    Difference,
    Verified,
    Where,
    askable,
    damaged,
    forged,
    left,
    lost,
    other_content,
    unknown,
    uploading,
)
from deriva_watch.core.states import SAFE, ExecutionState, FileState
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk import receipts
from deriva_watch.edges.disk.read_marks import ReadMarks
from deriva_watch.edges.journal import Reader, open_readonly
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.content import digests
from deriva_watch.engine.ports import Catalog
from deriva_watch.engine.read_back import ObjectReader
from deriva_watch.engine.server_check import ServerCheck
from deriva_watch.pipeline.connection import connect, read_model
from deriva_watch.pipeline.receipt_schema import left_out, records
from deriva_watch.pipeline.unit_paths import Directory
from deriva_watch.pipeline.unit_planner import UnitPlanner, spec_source
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings

_TOGETHER: Final = 500  # files in one request


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies executions of one catalog.

    Attributes:
        find: Finds what the journal and the receipts know.
        moved: Called for every file that is read or asked for, with its path and the bytes read.
    """

    find: VerifyTargets
    catalog: Catalog
    model: CatalogModel
    server_check: ServerCheck
    planner: UnitPlanner
    reader: ObjectReader
    moved: Callable[[str, int], None]

    @property
    def unit_reader(self) -> UnitReader:
        """Reads the units."""
        return self.planner.unit_reader

    # ------------------------------------------------------------------ one of them

    def verify(
        self, target: VerifyTarget, *, server_only: bool, read_back: bool = False
    ) -> Verified:
        """Compare everything about one execution.

        *read_back*: also read every object and hash it. Raises the errors of `engine.ports`.
        """
        at, record = datetime.now(UTC), target.record
        lines = records(target.receipt) if target.receipt else []
        said = left_out(target.receipt) if target.receipt and not record else []
        files = {f.path: f for f in (*lines, *said, *target.files)}
        there = [f for f in files.values() if f.state in SAFE]
        unit = self.find.unit(target)
        own = list(filter(None, [target.wrong]))
        seen = None if server_only or target.wrong else self.find.look(target, unit)
        has_looked = not (server_only or target.wrong or isinstance(seen, Difference))
        if isinstance(seen, Difference):
            own.append(seen)
            seen = None
        here = (seen.entries if seen else {}) if has_looked else None
        if not (
            record and record.state is ExecutionState.GONE
        ):  # its files were deleted before the upload
            own += left(target.files, f"`deriva-watch show {quote(target.rid)}` shows its state.")
            own += left(said, uploading(target.receipt.directory if target.receipt else ""))
        own += forged({f.path: f for f in target.files}, lines)
        own += self._misdirected(target)
        count = Counter[str]()
        notes: list[str] = []
        differences = own
        try:
            differences += self._ask(target, there, seen, here, notes)
            if read_back:
                bad = {each.path for each in differences if each.where is Where.SERVER}
                sound = [file for file in there if askable(file) and file.path not in bad]
                marks = ReadMarks.resumed(receipts.marks_path(*self._where(target)), at)
                at, count["read_back"] = marks.began_at, len(sound)
                differences += self._read_back(sound, marks)
        except RefusedError as error:
            then = error.next_for(target.rid)
            differences.append(Difference(Where.SERVER, None, error.what, error.why, then))
        if unit and seen is not None:
            differences += self._unknown(unit, seen, files.values())
            disk = self.unit_reader.directory(unit)
            differences += self._reread(disk, seen, there, count, notes)
        elif has_looked:
            count["absent"] = len(there)
        return Verified(
            rid=target.rid,
            prefix=str(unit.prefix) if unit else None,
            label=record.label if record else label_of(target.rid),
            at=at,
            files=len(there),
            size_bytes=sum(f.size_bytes for f in there),
            hashed=count["hashed"],
            absent=count["absent"],
            ignored=sum(f.state is FileState.IGNORED for f in files.values()),
            read_back=count["read_back"],
            differences=tuple(differences),
            notes=tuple(notes),
            well_at=self._well_at(target, at, differences),
        )

    def _well_at(
        self, target: VerifyTarget, at: datetime, found: Sequence[Difference]
    ) -> str | None:
        """Return when a verification last found no difference: now, or the time that is kept."""
        if not found:
            return at.isoformat()
        said = receipts.read_verified(*self._where(target)).get("at")
        return str(said) if said else None

    def keep(
        self, target: VerifyTarget, found: Verified, *, server_only: bool, read_back: bool = False
    ) -> None:
        """Keep the time of a verification without differences, if it can be written."""
        at, where = found.at.isoformat(), self._where(target)
        said = {"at": at, "files": found.files, "server_only": server_only}
        said["unverified"] = len(found.notes)
        proof: dict[str, Any] = {"read_back": "all" if read_back else "none", "at": at}
        proof |= {"files": found.files, "local": not server_only}
        unit, receipt = self.find.unit(target), target.receipt
        try:
            receipts.keep_verified(*where, said | {"read_back": proof["read_back"]})
            if receipt:
                path, written_at = receipts.receipt_path(*where), receipt.written_at.isoformat()
                beside = self.unit_reader.directory(unit).opened if unit else None
                receipts.tell_proof(path, beside, written_at, proof)
        except OSError:
            return  # it proves nothing: before a removal the server is asked again

    def _where(self, target: VerifyTarget) -> tuple[Path, str, str]:
        return self.unit_reader.settings.state_directory, self.find.server, target.kept_as

    def _read_back(self, files: list[FileRecord], marks: ReadMarks) -> Iterator[Difference]:
        """Read every object that *marks* does not have, and hash it."""
        for file in files:
            if file.url in marks.urls:
                self.moved(file.path, file.size_bytes)
                continue
            if why := self.reader.compare_all(file, partial(self.moved, file.path)):
                yield damaged(file, why)
            else:
                marks.add(file.url or "")
        marks.end()

    def _misdirected(self, target: VerifyTarget) -> Iterator[Difference]:
        """Yield that the Execution is gone, or that the receipt belongs to another one."""
        execution = target.links_to
        if (
            target.record
            and target.receipt
            and target.receipt.execution != (execution or target.rid)
        ):
            yield Difference(
                Where.RECEIPT,
                None,
                f"the receipt of {target.rid} belongs to another execution",
                f"it names {target.receipt.execution}",
                "The journal is right; the next upload rewrites the receipt.",
            )
        if execution and self.model.ml_table("Execution") and not self.catalog.execution(execution):
            yield Difference(
                Where.SERVER,
                None,
                f"Execution {execution} is no longer in the catalog",
                "no row has that RID",
                "Ask the catalog administrator what happened to it.",
            )

    def _ask(
        self,
        target: VerifyTarget,
        files: list[FileRecord],
        seen: Observation | None,
        here: Collection[str] | None,
        notes: list[str],
    ) -> Iterator[Difference]:
        """Ask the server for every file, and for every row of a file of rows.

        *here* are the paths of the files that are here; None: nobody has looked.
        """

        def is_here(path: str) -> bool | None:
            return None if here is None else path in here

        rid = target.rid if target.record else None
        asked = [file for file in files if askable(file)]
        for start in range(0, len(asked), _TOGETHER):
            group = asked[start : start + _TOGETHER]
            why = self.server_check.differences(self.model, group, target.links_to)
            for path in sorted(why):
                file = next(each for each in group if each.path == path)
                yield from lost(file, why[path], is_here=is_here(path), rid=rid)
            for file in group:
                self.moved(file.path, 0)
        find = self.find
        rows = RowVerifier(
            self.planner,
            find.reader,
            find.server,
            self.model,
            self.server_check,
            target,
            find.unit(target),
            seen,
        )
        for file in files:
            if file.rows is not None:
                found, unasked = rows.ask(file)
                yield from lost(file, found, is_here=is_here(file.path), rid=rid)
                if unasked:
                    notes.append(
                        f"{file.path}: {unasked} rows have keys that only the file contains"
                    )
            elif not askable(file):
                notes.append(f"{file.path}: it is {file.state}, and its row or object is not known")

    # ------------------------------------------------------------------ the disk

    def _unknown(
        self, unit: Unit, seen: Observation, files: Iterable[FileRecord]
    ) -> Iterator[Difference]:
        said = unit.drop or self.unit_reader.settings.completion
        return unknown(seen, files, frozenset(said.markers), is_ml=unit.drop is None)

    def _reread(
        self,
        disk: Directory,
        seen: Observation,
        files: Iterable[FileRecord],
        count: Counter[str],
        notes: list[str],
    ) -> Iterator[Difference]:
        """Read every local file again, and compare."""
        for file in files:
            entry = seen.entries.get(file.path)
            if entry is None:
                is_file = not file.path.startswith("workspace://")
                count["absent"] += is_file and not seen.is_hidden(file.path)
            elif CONTENT_PATH in (file.names or {}):
                notes.append(
                    f"{file.path}: a processor changed the bytes sent; they cannot be compared"
                )
            elif entry.kind is Kind.UNUSABLE:
                what, then = f"{file.path} cannot be read", "Put the file back."
                yield Difference(Where.DISK, file.path, what, entry.problem or "", then)
            elif file.md5:
                count["hashed"] += 1
                yield from self._compared(disk, entry, file)

    def _compared(self, disk: Directory, entry: Entry, file: FileRecord) -> Iterator[Difference]:
        try:
            with disk.open(entry) as body:
                found = digests(body, partial(self.moved, file.path))
            disk.verify(entry)
        except FileChangedError as error:
            then = "Verify it when no program writes to it."
            yield Difference(Where.DISK, file.path, f"{file.path} is changing", str(error), then)
        except (RefusedError, OSError) as error:
            why = error.why if isinstance(error, RefusedError) else reason(error)
            then = "Give the user of deriva-watch the right to read it."
            yield Difference(Where.DISK, file.path, f"{file.path} cannot be read", why, then)
        else:
            same_sha = file.sha256 is None or found.sha256 == file.sha256
            if found.md5 != file.md5 or not same_sha:
                moved = entry.stamp != file.stamp or file.ctime_ns not in {None, entry.ctime_ns}
                yield other_content(file, str(disk.root), is_touched=not file.inode or moved)


@contextmanager
def verifying(
    settings: Settings, moved: Callable[[str, int], None] = lambda _path, _bytes: None
) -> Iterator[Verifier]:
    """Connect to the server and open journal and receipts for reading.

    Raises CredentialError without a credential, SettingsError without the catalog.
    """
    with (
        connect(settings) as connection,
        ThreadPoolExecutor(settings.transfer.connections, "verify") as pool,
    ):
        connection.server.session()
        catalog, reader = connection.catalog, _reader(settings)
        call_retry = CallRetry(lambda _event: None, settings.server.host)
        server_check = ServerCheck(catalog, connection.store, call_retry, pool.map)
        unit_reader = UnitReader.of(settings, reader)
        planner = UnitPlanner(unit_reader, spec_source(settings))
        name = settings.server.name
        find = VerifyTargets(unit_reader, reader, name)
        objects = ObjectReader(connection.store, call_retry)
        yield Verifier(find, catalog, read_model(catalog), server_check, planner, objects, moved)


def _reader(settings: Settings) -> Reader | None:
    """Return the journal, or None where there is none: then only the receipts are used."""
    if not Path(settings.journal.url.removeprefix("sqlite:///")).exists():
        return None
    return open_readonly(settings.journal.url)
